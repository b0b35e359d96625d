//! The laboratory: runs the same commands with stock iptables and with oxtables, each in its own network namespace, and compares.
