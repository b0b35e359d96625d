//! Targets: what comes out of the router, in both encodings.
