//! From wasmtime's errors to outcomes.

use wasmtime::Trap;

use crate::job::{Outcome, TrapKind};

/// What a trap means for the job.
pub(super) fn outcome(trap: Trap, reason: String) -> Outcome {
    let kind = match trap {
        Trap::OutOfFuel => return Outcome::OutOfFuel,
        Trap::Interrupt => return Outcome::Deadline,
        Trap::UnreachableCodeReached => TrapKind::Unreachable,
        Trap::StackOverflow => TrapKind::StackOverflow,
        Trap::MemoryOutOfBounds => TrapKind::MemoryOutOfBounds,
        Trap::TableOutOfBounds => TrapKind::TableOutOfBounds,
        Trap::IndirectCallToNull => TrapKind::NullCall,
        Trap::BadSignature => TrapKind::BadSignature,
        Trap::IntegerOverflow => TrapKind::IntegerOverflow,
        Trap::IntegerDivisionByZero => TrapKind::DivisionByZero,
        Trap::BadConversionToInteger => TrapKind::BadConversion,
        // Traps of features that are not compiled in, and whatever wasmtime adds.
        _ => TrapKind::Other,
    };
    Outcome::Trapped { kind, reason }
}
