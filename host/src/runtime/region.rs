//! The host functions by which a guest reaches a region: memory that it shares with others.
//!
//! They copy. A guest's linear memory cannot be laid over the region: it is not a shared memory of wasm,
//! and so both the compiler of the guest and the engine may take it that nobody else writes to it.

use cofferdam_guest::abi;
use wasmtime::{Linker, Result};

use super::imports::{Guest, check, end, needs_a_job, open_job};
use super::state::StoreState;
use crate::job::Outcome;
use crate::region::{RegionError, Shared};

/// Offers the imports whose names begin with `region_`.
pub(super) fn define(linker: &mut Linker<StoreState>) -> Result<()> {
    use abi::import;
    linker
        .func_wrap(abi::MODULE, import::REGION_LEN, len)?
        .func_wrap(abi::MODULE, import::REGION_READ, read)?
        .func_wrap(abi::MODULE, import::REGION_WRITE, write)?
        .func_wrap(abi::MODULE, import::REGION_LOAD, load)?
        .func_wrap(abi::MODULE, import::REGION_STORE, store)?
        .func_wrap(abi::MODULE, import::REGION_ADD, add)?
        .func_wrap(
            abi::MODULE,
            import::REGION_COMPARE_EXCHANGE,
            compare_exchange,
        )?;
    Ok(())
}

fn len(mut guest: Guest<'_>) -> Result<i64> {
    needs_a_job(guest.data_mut(), abi::import::REGION_LEN)?;
    let region = guest.data().region.as_ref();
    // No address space holds a region of 2^63 bytes.
    Ok(region.map_or(abi::NO_REGION, |region| region.size().cast_signed()))
}

fn read(mut guest: Guest<'_>, dst: u32, offset: u64, len: u32) -> Result<()> {
    const CALL: &str = abi::import::REGION_READ;
    let (memory, state) = open_job(&mut guest, CALL)?;
    let range = check(memory, state, CALL, dst, len)?;
    access(state, CALL, |region| {
        region.read(offset, &mut memory[range])
    })
}

fn write(mut guest: Guest<'_>, src: u32, offset: u64, len: u32) -> Result<()> {
    const CALL: &str = abi::import::REGION_WRITE;
    let (memory, state) = open_job(&mut guest, CALL)?;
    let range = check(memory, state, CALL, src, len)?;
    access(state, CALL, |region| {
        region.for_writing()?.write(offset, &memory[range])
    })
}

fn load(mut guest: Guest<'_>, offset: u64) -> Result<i64> {
    const CALL: &str = abi::import::REGION_LOAD;
    needs_a_job(guest.data_mut(), CALL)?;
    access(guest.data_mut(), CALL, |region| region.load(offset))
}

fn store(mut guest: Guest<'_>, offset: u64, value: i64) -> Result<()> {
    const CALL: &str = abi::import::REGION_STORE;
    needs_a_job(guest.data_mut(), CALL)?;
    access(guest.data_mut(), CALL, |region| {
        region.for_writing()?.store(offset, value)
    })
}

fn add(mut guest: Guest<'_>, offset: u64, value: i64) -> Result<i64> {
    const CALL: &str = abi::import::REGION_ADD;
    needs_a_job(guest.data_mut(), CALL)?;
    access(guest.data_mut(), CALL, |region| {
        region.for_writing()?.add(offset, value)
    })
}

fn compare_exchange(mut guest: Guest<'_>, offset: u64, expected: i64, new: i64) -> Result<i64> {
    const CALL: &str = abi::import::REGION_COMPARE_EXCHANGE;
    needs_a_job(guest.data_mut(), CALL)?;
    access(guest.data_mut(), CALL, |region| {
        region
            .for_writing()?
            .compare_exchange(offset, expected, new)
    })
}

/// Does something to the region, or ends the job that may not do it.
fn access<T>(
    state: &mut StoreState,
    call: &str,
    act: impl FnOnce(&Shared) -> Result<T, RegionError>,
) -> Result<T> {
    let region = state.region.as_deref().ok_or(RegionError::NoRegion);
    match region.and_then(act) {
        Ok(done) => Ok(done),
        Err(error) => {
            let why = format!("{call} was refused: {error}");
            end(state, Outcome::InterfaceViolation(why))
        }
    }
}
