//! `cofferdam run --native`: an ordinary command in place of a guest.

use cofferdam::{Native, Pool, PoolBuilder};

use super::Args;
use crate::cli::Failure;
use crate::cli::common::{HardeningArg, InstanceArg, IsolationArg};

/// Whether the words after `--` are a command of this machine.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[command(next_help_heading = "Native commands")]
pub(super) struct NativeArgs {
    /// Run the words after `--` as an ordinary command, which is not sandboxed: a new process for each job, with the
    /// job's input on its standard input
    #[arg(long, conflicts_with_all = ["guest", "wat"])]
    native: bool,
    /// With --native: the one word after `--` is a script for /bin/sh
    #[arg(long, requires = "native")]
    shell: bool,
}

impl NativeArgs {
    pub(super) fn is_given(self) -> bool {
        self.native
    }
}

const WASI_WAY: &str = "build it for wasm32-wasip1 and run it as a guest: cofferdam run --isolation thread tool.wasm -- ARGS";

impl Args {
    /// The pool of a native command.
    ///
    /// # Errors
    /// For what a command cannot be given, or cannot do without.
    pub(super) fn native_pool(&self) -> Result<PoolBuilder, Failure> {
        if matches!(self.isolation, IsolationArg::Thread) {
            return Err(Failure::usage(format!(
                "--native runs in a process of its own: a thread is part of the host, and wasm is what holds a guest there. For a thread, {WASI_WAY}"
            )));
        }
        if matches!(self.hardening, HardeningArg::Required) {
            return Err(Failure::usage(format!(
                "--hardening required: a native command has your rights, and gives up none of them. For walls around it, {WASI_WAY}"
            )));
        }
        let meaningless = [
            (!self.post.is_empty(), "--post"),
            (self.guest.entry().is_some(), "a function's name"),
            (!self.told.settings().is_empty(), "--config"),
            (self.region.is_some(), "--region"),
            (!self.told.dirs.is_empty(), "--dir"),
            (!self.told.hosts.is_empty(), "--allow-host"),
            (self.seed.is_some(), "--seed"),
            (self.start.is_some(), "--start"),
            (self.limits.fuel.is_some(), "--fuel"),
            (
                matches!(self.instance, InstanceArg::Reused),
                "--instance reused",
            ),
        ];
        if let Some((_, flag)) = meaningless.iter().find(|(given, _)| *given) {
            return Err(Failure::usage(format!(
                "{flag} means something to guests, and nothing to a native command: leave it out"
            )));
        }
        let command = match (self.native.shell, self.told.words()) {
            (_, []) => {
                return Err(Failure::usage(
                    "--native: give the command after `--`: cofferdam run --native -- ls -la",
                ));
            }
            (true, [script]) => Native::shell(script),
            (true, _) => {
                return Err(Failure::usage(
                    "--shell takes one word, the whole script: cofferdam run --native --shell -- 'ls | wc -l'",
                ));
            }
            (false, [program, args @ ..]) => Native::new(program).args(args),
        };
        let variables = self.told.variables().iter();
        let command = variables.fold(command, |command, (key, value)| command.env(key, value));
        Ok(Pool::native(command))
    }
}
