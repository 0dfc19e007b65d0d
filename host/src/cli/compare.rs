//! skeleton
use super::Failure;
use cofferdam::Exit;
/// x
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}
pub(crate) fn compare(_args: Args) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
pub(crate) fn trial() -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
