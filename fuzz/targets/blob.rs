//! The libFuzzer front of [`oxtables_fuzz::bodies::blob`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oxtables_fuzz::bodies::blob::run(data));
