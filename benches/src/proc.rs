//! What `/proc` tells about this process, its children and its memory.

use std::fs;

use crate::Failure;

/// A child of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child {
    /// Its process.
    pub pid: u32,
    /// What it does.
    pub state: State,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits for something.
    Sleeps,
    /// It has ended, and nobody has reaped it.
    Zombie,
    /// It runs, or has been stopped.
    Other,
}

/// The children of this process, forked workers included: those are made as its own children.
///
/// # Errors
/// If there is no `/proc`.
pub fn children() -> Result<Vec<Child>, Failure> {
    let this = std::process::id();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // One that has been reaped meanwhile is none.
        if let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat"))
            && let Some((state, parent)) = state_and_parent(&stat)
            && parent == this
        {
            found.push(Child { pid, state });
        }
    }
    Ok(found)
}

/// From `proc_pid_stat(5)`. The name stands in parentheses, and may itself contain some.
fn state_and_parent(stat: &str) -> Option<(State, u32)> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = match fields.next()? {
        "S" => State::Sleeps,
        "Z" => State::Zombie,
        _ => State::Other,
    };
    Some((state, fields.next()?.parse().ok()?))
}

/// Bytes of a process, from `/proc/PID/smaps_rollup`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// What is in memory and mapped by it.
    pub resident: f64,
    /// The same, but what several processes map counts for each of them in part.
    pub proportional: f64,
    /// What nobody else maps.
    pub private: f64,
}

/// The memory of a process.
///
/// # Errors
/// If it is gone, or not ours to look at.
pub fn memory(pid: u32) -> Result<Memory, Failure> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|rest| rest.trim().strip_suffix("kB"));
        let found = kilobytes.and_then(|number| number.trim().parse::<f64>().ok());
        found
            .map(|kilobytes| kilobytes * 1024.0)
            .ok_or_else(|| format!("{path}: no {name}"))
    };
    Ok(Memory {
        resident: bytes("Rss:")?,
        proportional: bytes("Pss:")?,
        private: bytes("Private_Clean:")? + bytes("Private_Dirty:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arms::until;
    use std::process::{Command, Stdio};

    #[test]
    fn a_child_that_waits_is_seen_until_it_ends() {
        let mut cat = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let sleeping = Child {
            pid: cat.id(),
            state: State::Sleeps,
        };
        until("it does not sleep", || {
            Ok(children()?.contains(&sleeping).then_some(()))
        })
        .unwrap();
        drop(cat.stdin.take());
        cat.wait().unwrap();
        assert!(
            children()
                .unwrap()
                .iter()
                .all(|child| child.pid != cat.id())
        );
    }

    #[test]
    fn a_name_with_parentheses_is_no_state() {
        assert_eq!(
            state_and_parent("12 (a) b) S 7 12 12 0"),
            Some((State::Sleeps, 7))
        );
        assert_eq!(state_and_parent("12"), None);
    }

    #[test]
    fn this_process_takes_memory() {
        let memory = memory(std::process::id()).unwrap();
        assert!(memory.resident > 1e5 && memory.private > 0.0);
        assert!(memory.private <= memory.proportional && memory.proportional <= memory.resident);
    }
}
