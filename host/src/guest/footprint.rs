//! What an instance of a module takes, and what making one does: read from the module's sections, so
//! that whoever makes instances can lay out their memory before the first one is there.

use cofferdam_guest::abi;
use serde::{Deserialize, Serialize};

use super::Anatomy;
use super::extism;

/// A page of linear memory, as the specification has it.
const PAGE: u64 = 64 << 10;

/// What an instance takes, as far as its module says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Footprint {
    /// Linear memories.
    pub(crate) memories: u32,
    /// Bytes that the memories begin with, summed.
    pub(crate) initial_bytes: u64,
    /// Tables.
    pub(crate) tables: u32,
    /// Elements that the largest table may come to have; `None` where one may grow without end.
    pub(crate) most_elements: Option<u64>,
    /// What making an instance does.
    pub(crate) making: Making,
    /// Whether it is a component: one instance of it is several of modules.
    pub(crate) component: bool,
    /// Whether it needs a garbage collector.
    pub(crate) managed: bool,
}

/// What happens when an instance is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Making {
    /// Memories and tables are filled. No guest code runs, so it cannot matter when this is done.
    Silent,
    /// A start function or `_initialize` runs: its log lines, its random bytes and its time belong to
    /// a job.
    RunsGuest,
}

/// One table of a module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    /// Elements that it never passes, if it says so.
    pub(super) maximum: Option<u64>,
}

impl Footprint {
    pub(super) fn of(anatomy: &Anatomy) -> Self {
        let initial = anatomy
            .memories
            .iter()
            .map(|memory| memory.minimum_pages.saturating_mul(PAGE))
            .fold(0, u64::saturating_add);
        let most_elements = anatomy
            .tables
            .iter()
            .try_fold(0, |most, table| Some(table.maximum?.max(most)));
        // The last two are what a plugin of Extism may have for that.
        let initializes = [abi::INITIALIZE, extism::CONSTRUCTORS, extism::HASKELL]
            .iter()
            .any(|name| anatomy.export(name).is_some());
        Self {
            memories: count(anatomy.memories.len()),
            initial_bytes: initial,
            tables: count(anatomy.tables.len()),
            most_elements,
            component: anatomy.component,
            managed: anatomy.managed,
            // What a component does to fill its memories is guest code, more often than not.
            making: if anatomy.component || anatomy.start || initializes {
                Making::RunsGuest
            } else {
                Making::Silent
            },
        }
    }
}

fn count(things: usize) -> u32 {
    u32::try_from(things).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footprint(body: &str) -> Footprint {
        let text = format!("(module {body})");
        Footprint::of(&Anatomy::of_bytes(text.as_bytes()).unwrap())
    }

    #[test]
    fn memories_and_tables_are_counted_and_measured() {
        let found = footprint("(memory 2) (memory 3 9) (table 1 7 funcref) (table 5 5 funcref)");
        assert_eq!(
            found,
            Footprint {
                memories: 2,
                initial_bytes: 5 * PAGE,
                tables: 2,
                most_elements: Some(7),
                making: Making::Silent,
                component: false,
                managed: false,
            }
        );
    }

    #[test]
    fn a_table_without_a_maximum_has_none_among_others_that_do() {
        let found = footprint("(table 1 7 funcref) (table 5 funcref) (table 9 9 funcref)");
        assert_eq!(found.most_elements, None);
    }

    #[test]
    fn a_module_without_tables_needs_no_elements() {
        assert_eq!(footprint("(memory 1)").most_elements, Some(0));
    }

    #[test]
    fn what_a_collector_manages_is_found_wherever_it_is_said() {
        for body in [
            "(type (struct (field i32)))",
            "(type (array i8))",
            "(rec (type (func)) (type (struct)))",
            "(tag)",
            "(import \"m\" \"t\" (tag))",
            "(func (param externref))",
            "(func (result anyref) unreachable)",
            "(table 1 externref)",
            "(global externref (ref.null extern))",
        ] {
            assert!(footprint(body).managed, "{body}");
        }
        for body in [
            "(func (param i32 i64 f32 f64 v128))",
            "(table 1 funcref)",
            "(global funcref (ref.null func))",
            "(import \"m\" \"f\" (func))",
        ] {
            assert!(!footprint(body).managed, "{body}");
        }
    }

    #[test]
    fn a_start_function_and_initialize_run_guest_code() {
        let start = footprint("(func $f) (start $f)");
        let initialize = footprint(r#"(func (export "_initialize"))"#);
        let neither = footprint(r#"(func (export "handle"))"#);
        let making = [start, initialize, neither].map(|found| found.making);
        assert_eq!(
            making,
            [Making::RunsGuest, Making::RunsGuest, Making::Silent]
        );
    }

    #[test]
    fn a_memory_of_an_impossible_size_does_not_overflow() {
        let memory = super::super::Memory {
            minimum_pages: u64::MAX,
            maximum_pages: None,
            memory64: true,
            shared: false,
        };
        let anatomy = Anatomy {
            memories: vec![memory, memory],
            ..Anatomy::of_bytes(b"(module)").unwrap()
        };
        assert_eq!(Footprint::of(&anatomy).initial_bytes, u64::MAX);
    }
}
