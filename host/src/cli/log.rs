//! The structured log: what the library tells by `tracing`, on stderr.

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;

/// From which level on.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum LevelArg {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<LevelArg> for LevelFilter {
    fn from(typed: LevelArg) -> Self {
        match typed {
            LevelArg::Off => Self::OFF,
            LevelArg::Error => Self::ERROR,
            LevelArg::Warn => Self::WARN,
            LevelArg::Info => Self::INFO,
            LevelArg::Debug => Self::DEBUG,
            LevelArg::Trace => Self::TRACE,
        }
    }
}

/// In what form.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum FormatArg {
    Text,
    Json,
}

/// Has everything logged from now on. Without a level nothing is set up, and an event costs one comparison.
pub(super) fn begin(level: LevelArg, format: FormatArg) {
    if matches!(level, LevelArg::Off) {
        return;
    }
    let log = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::from(level))
        .with_writer(std::io::stderr)
        .with_ansi(false);
    match format {
        FormatArg::Text => log.init(),
        FormatArg::Json => log.json().init(),
    }
}
