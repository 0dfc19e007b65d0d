//! Which guest, how a job enters it, and what it is told beside its input: shared by the commands that run one.

use cofferdam::{AllowedHost, Entry, Folder, Guest, GuestSource, Packed, Surroundings};

use super::Failure;

/// The guest and its entry.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct GuestArgs {
    /// A .wasm or .wat file, `-` for standard input, or @name (see `cofferdam guests`)
    guest: Option<GuestSource>,
    /// The guest itself, in the text format, in place of a file
    #[arg(
        long,
        value_name = "TEXT",
        conflicts_with = "guest",
        help_heading = "Guest"
    )]
    wat: Option<String>,
    /// Call this export with the numbers of each job's input, and reply with its results
    #[arg(long, value_name = "NAME", help_heading = "Guest")]
    invoke: Option<String>,
    /// Call this export with pointer and length of each job's input; it returns both of its reply, packed
    /// into an i64
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "invoke",
        help_heading = "Guest"
    )]
    packed: Option<String>,
    /// Call this export of an Extism plugin for each job
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with_all = ["invoke", "packed"],
        help_heading = "Guest"
    )]
    call: Option<String>,
    /// With --packed: the export that makes room for the input [default: alloc]
    #[arg(long, value_name = "NAME", requires = "packed", help_heading = "Guest")]
    alloc: Option<String>,
    /// With --packed: the export that frees reply and input [default: they are not freed]
    #[arg(long, value_name = "NAME", requires = "packed", help_heading = "Guest")]
    free: Option<String>,
}

impl GuestArgs {
    /// Where the guest comes from, if anybody said so.
    pub(crate) fn named(&self) -> Option<GuestSource> {
        match (&self.guest, &self.wat) {
            (Some(source), _) => Some(source.clone()),
            (None, Some(text)) => Some(GuestSource::Text(text.clone())),
            (None, None) => None,
        }
    }

    /// Where the guest comes from.
    ///
    /// # Errors
    /// Where nobody said so.
    pub(crate) fn source(&self) -> Result<GuestSource, Failure> {
        self.named().ok_or_else(|| {
            Failure::usage(
                "which guest? Give a path to a .wasm or .wat file, `-` for standard input, or @name (see `cofferdam guests`)",
            )
        })
    }

    /// How jobs enter it, where that was said.
    pub(crate) fn entry(&self) -> Option<Entry> {
        if let Some(name) = &self.invoke {
            return Some(Entry::Function { name: name.clone() });
        }
        if let Some(call) = &self.call {
            return Some(Entry::Extism { call: call.clone() });
        }
        let call = self.packed.as_ref()?;
        let packed = Packed::with(call, self.alloc.clone(), self.free.clone());
        Some(Entry::Packed(packed))
    }

    pub(crate) fn load(&self) -> Result<Guest, Failure> {
        Ok(Guest::load_with(&self.source()?, self.entry())?)
    }
}

/// Said where the words after `--` are numbers, and there is another input.
pub(crate) const TWO_INPUTS: &str =
    "the words after `--` are the input of the only job: leave out either them or the other input";

/// What a command is told.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Guest")]
pub(crate) struct ToldArgs {
    /// Set a variable in a command's environment, which is empty otherwise; may be given several times
    #[arg(long = "env", value_name = "KEY=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// Set one of the settings that an Extism plugin can ask for; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = variable)]
    config: Vec<(String, String)>,
    /// Let a guest that speaks WASI use a folder, under this path and read-only if so said; may be given several times
    #[arg(long = "dir", value_name = "HOST::GUEST[:ro]")]
    pub(crate) dirs: Vec<Folder>,
    /// Let an Extism plugin fetch from a host, on one port if so said; *.NAME is every name under it; may be given several
    /// times
    #[arg(long = "allow-host", value_name = "HOST[:PORT]")]
    pub(crate) hosts: Vec<AllowedHost>,
    /// A command's arguments, or with --invoke the numbers of the only job
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
}

impl ToldArgs {
    /// The words after `--`, where they are a native command.
    pub(crate) fn words(&self) -> &[String] {
        &self.args
    }

    /// Settings that were given.
    pub(crate) fn settings(&self) -> &[(String, String)] {
        &self.config
    }

    /// Variables that were given.
    pub(crate) fn variables(&self) -> &[(String, String)] {
        &self.env
    }

    /// The words after `--`, to be the input of the only job.
    pub(crate) fn numbers(&self, entry: &Entry) -> Option<String> {
        let is_invoked = matches!(entry, Entry::Function { .. });
        (is_invoked && !self.args.is_empty()).then(|| self.args.join(" "))
    }

    /// What a guest of this entry finds around it.
    ///
    /// # Errors
    /// For one that would not hear it.
    pub(crate) fn told(&self, guest: &Guest) -> Result<Surroundings, Failure> {
        if !self.config.is_empty() && !matches!(guest.entry(), Entry::Extism { .. }) {
            return Err(Failure::usage(format!(
                "--config goes with Extism plugins, and {} is {}",
                guest.name(),
                guest.entry()
            )));
        }
        let hears_args = match guest.entry() {
            Entry::Start | Entry::Run | Entry::Function { .. } => true,
            Entry::Handle if self.env.is_empty() && self.args.is_empty() => true,
            Entry::Handle => {
                return Err(Failure::usage(format!(
                    "{} is {}, which is told nothing but its input: --env and the words after `--` go with WASI commands",
                    guest.name(),
                    guest.entry()
                )));
            }
            _ => self.args.is_empty(),
        };
        if !hears_args {
            return Err(Failure::usage(
                "the words after `--` go with WASI commands and with --invoke: give the input with --input",
            ));
        }
        let args = match guest.entry() {
            Entry::Start | Entry::Run => self.args.clone(),
            _ => Vec::new(),
        };
        Ok(Surroundings {
            args,
            env: self.env.clone(),
            config: self.config.clone(),
            dirs: self.dirs.clone(),
            hosts: self.hosts.clone(),
        })
    }
}

fn variable(typed: &str) -> Result<(String, String), String> {
    match typed.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("give a name, `=` and a value: LANG=C".to_owned()),
    }
}
