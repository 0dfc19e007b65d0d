//! The command line of cofferdam: parse, dispatch, print the error, exit code.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    // A process worker is this program, spawned anew.
    if let Some(code) = cofferdam::serve_if_worker() {
        return code;
    }
    cli::main().into()
}
