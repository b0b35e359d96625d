//! The one binary behind every name.
fn main() -> std::process::ExitCode {
    oxtables::cli::main()
}
