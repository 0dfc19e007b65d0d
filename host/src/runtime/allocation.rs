//! Where instances get their memory: from the system, each time, or from places that were reserved
//! ahead and are used again.
//!
//! A new mapping for each instance takes the address space's lock, which all threads of a process
//! share, and its pages come one fault at a time. A place in a pool is mapped once; the next instance
//! finds the pages of the one before, made as new. The pool must not decide which guests run: where a
//! guest or this machine does not suit it, instances get their memory from the system.

use serde::{Deserialize, Serialize};
use wasmtime::{Enabled, PoolingAllocationConfig};

use crate::guest::{Footprint, Guest, Making};
use crate::options::Isolation;

/// What the workers that share an engine ask of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Demand {
    footprint: Footprint,
    /// Instances that may live at the same time.
    instances: u32,
}

/// Places for instances whose threads were given up, and may never come back. A place that is not
/// used costs addresses, and no memory; a pool that has lost so many threads has other troubles.
const ABANDONED: usize = 64;

/// The most tables that an instance in a pool may have: compilers make one.
const MOST_TABLES: u32 = 4;

/// The most elements of a table in a pool: 512 KiB. A table gets all the room that it may ever need,
/// so that growing it ends where it ends without a pool.
const MOST_ELEMENTS: u64 = 64 << 10;

/// What a place for a memory takes of the address space: 4 GiB, so that guest code needs no bounds
/// checks, and the guard behind it. Rounded up.
const PLACE: u64 = 5 << 30;

/// What is kept of an instance's memory, zeroed by hand, for the next one in its place; what lies
/// beyond is given back, and comes again by page faults. A fault costs as much as zeroing dozens of
/// KiB: in one run of a guest that touches 2 MiB, jobs took 0.04 times as long with all of it kept as
/// with none or 64 KiB of it, `@echo` 0.4 times. More would help larger guests (`@argon2`, 19 MiB: 0.8
/// times with 32 MiB), but a worker that waits holds what is kept.
const KEPT: usize = 4 << 20;

/// A memory that begins with more than this may have it for the sake of a few pages here and there,
/// and zeroing all of it would cost more than the faults. What a guest *grows*, it wants.
const MOST_INITIAL: u64 = 2 << 20;

/// How much of a table is zeroed by hand: all that most have.
const KEPT_OF_TABLE: usize = 64 << 10;

/// How instances come by their memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allocation {
    /// Each is mapped when it is made, and unmapped when it ends.
    OnDemand,
    /// From places that are used again.
    Pool(Places),
}

/// When an instance is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Before its job is there.
    Ahead,
    /// When its job has come.
    WithinItsJob,
}

/// The dimensions of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places {
    instances: u32,
    /// Tables of each instance.
    tables: u32,
    /// Elements of each table.
    elements: usize,
    /// Bytes of each memory that stay with its place.
    kept: usize,
}

impl Demand {
    /// What so many workers that run this guest need. Those in threads share an engine; one in a
    /// process has its own, and gives an instance back before it makes the next.
    pub(crate) fn of(guest: &Guest, isolation: Isolation, workers: usize) -> Self {
        let instances = match isolation {
            Isolation::Thread => workers.saturating_add(ABANDONED),
            Isolation::Process => 1,
        };
        Self {
            footprint: guest.footprint(),
            instances: u32::try_from(instances).unwrap_or(u32::MAX),
        }
    }

    /// When to make instances that come from a pool, or do not, in such an address space. One that
    /// waits for its job must not take addresses away from one that has it.
    pub(super) fn moment(self, is_pooled: bool, address_space: Option<u64>) -> Moment {
        match self.footprint.making {
            Making::Silent if is_pooled || address_space.is_none() => Moment::Ahead,
            Making::Silent | Making::RunsGuest => Moment::WithinItsJob,
        }
    }

    /// Whether the guest is a component.
    pub(super) fn is_component(self) -> bool {
        self.footprint.component
    }

    /// Whether the guest needs a garbage collector.
    pub(super) fn is_managed(self) -> bool {
        self.footprint.managed
    }

    /// The same of a guest that needs a collector; `None` if it does anyway.
    pub(super) fn with_collector(self) -> Option<Self> {
        let footprint = Footprint {
            managed: true,
            ..self.footprint
        };
        (!self.footprint.managed).then_some(Self { footprint, ..self })
    }

    /// The same for so many instances.
    #[cfg(test)]
    pub(crate) fn with_instances(self, instances: u32) -> Self {
        Self { instances, ..self }
    }
}

impl Allocation {
    /// What suits this demand in an address space of so many bytes; `None` is without a limit.
    pub(super) fn choose(demand: Demand, address_space: Option<u64>) -> Self {
        let Demand {
            footprint,
            instances,
        } = demand;
        let Some(elements) = footprint
            .most_elements
            .filter(|&elements| elements <= MOST_ELEMENTS)
            .and_then(|elements| usize::try_from(elements).ok())
        else {
            return Self::OnDemand;
        };
        // Half of what is allowed: threads, files and the program itself need some, too.
        let fits = address_space.is_none_or(|limit| {
            let reserved = u64::from(instances).saturating_mul(PLACE);
            reserved <= limit / 2
        });
        // A component's instances are of several modules, each with memories and tables of its own.
        // And what a collector manages is a memory more.
        let has_others = footprint.component || footprint.managed;
        if has_others || !fits || footprint.memories > 1 || footprint.tables > MOST_TABLES {
            return Self::OnDemand;
        }
        Self::Pool(Places {
            instances,
            tables: footprint.tables,
            elements,
            kept: match footprint.initial_bytes {
                0..=MOST_INITIAL => KEPT,
                _ => 0,
            },
        })
    }
}

impl Places {
    pub(super) fn config(self) -> PoolingAllocationConfig {
        let Self {
            instances,
            tables,
            elements,
            kept,
        } = self;
        let mut config = PoolingAllocationConfig::new();
        config
            .total_core_instances(instances)
            .total_memories(instances)
            .total_tables(instances.saturating_mul(tables))
            .max_tables_per_module(tables)
            .table_elements(elements)
            // What the host keeps for an instance beside its memories lies on the heap.
            .max_core_instance_size(usize::MAX / 2)
            .linear_memory_keep_resident(kept)
            .table_keep_resident(KEPT_OF_TABLE)
            // With it only the pages that a guest has written would be zeroed. But wasmtime 48 takes
            // a page that is not present for one that was not written, and the kernel takes pages
            // away for a moment while it moves them, also without any swap: what the guest wrote
            // would be the next one's to read. With compaction running, 281 of 4951 scans of 64 MiB
            // of written pages passed some of them over (Linux 6.18), without it 0 of 2296.
            .pagemap_scan(Enabled::No);
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    const FOOTPRINT: Footprint = Footprint {
        memories: 1,
        initial_bytes: 64 << 10,
        tables: 1,
        most_elements: Some(10),
        making: Making::Silent,
        component: false,
        managed: false,
    };

    fn choice(footprint: Footprint, address_space: Option<u64>) -> Allocation {
        let demand = Demand {
            footprint,
            instances: 3,
        };
        Allocation::choose(demand, address_space)
    }

    fn places(footprint: Footprint) -> Places {
        match choice(footprint, None) {
            Allocation::Pool(places) => places,
            Allocation::OnDemand => panic!("{footprint:?} has no pool"),
        }
    }

    #[test]
    fn an_ordinary_guest_has_a_place_for_each_instance() {
        assert_eq!(
            places(FOOTPRINT),
            Places {
                instances: 3,
                tables: 1,
                elements: 10,
                kept: KEPT,
            }
        );
    }

    #[test]
    fn what_a_pool_cannot_hold_is_mapped_on_demand() {
        let misfits = [
            Footprint {
                memories: 2,
                ..FOOTPRINT
            },
            Footprint {
                tables: MOST_TABLES + 1,
                ..FOOTPRINT
            },
            Footprint {
                most_elements: Some(MOST_ELEMENTS + 1),
                ..FOOTPRINT
            },
            Footprint {
                most_elements: None,
                ..FOOTPRINT
            },
        ];
        for misfit in misfits {
            assert_eq!(choice(misfit, None), Allocation::OnDemand, "{misfit:?}");
        }
    }

    #[test]
    fn a_small_address_space_has_no_pool() {
        assert_eq!(choice(FOOTPRINT, Some(29 * GIB)), Allocation::OnDemand);
        assert_eq!(
            choice(FOOTPRINT, Some(30 * GIB)),
            Allocation::Pool(places(FOOTPRINT))
        );
    }

    #[test]
    fn an_instance_is_made_ahead_where_nobody_sees_it_and_nobody_wants_for_it() {
        let moment = |making, is_pooled, address_space| {
            let footprint = Footprint {
                making,
                ..FOOTPRINT
            };
            let demand = Demand {
                footprint,
                instances: 3,
            };
            demand.moment(is_pooled, address_space)
        };
        assert_eq!(moment(Making::Silent, true, Some(GIB)), Moment::Ahead);
        assert_eq!(moment(Making::Silent, false, None), Moment::Ahead);
        let scarce = moment(Making::Silent, false, Some(GIB));
        assert_eq!(scarce, Moment::WithinItsJob);
        let seen = moment(Making::RunsGuest, true, None);
        assert_eq!(seen, Moment::WithinItsJob);
    }

    #[test]
    fn a_memory_that_begins_large_is_given_back_instead_of_zeroed() {
        let large = Footprint {
            initial_bytes: MOST_INITIAL + 1,
            ..FOOTPRINT
        };
        assert_eq!(places(large).kept, 0);
    }

    #[test]
    fn threads_share_a_pool_and_a_process_has_one_place() {
        let guest = Guest::embedded("echo").unwrap();
        let instances = |isolation| Demand::of(&guest, isolation, 8).instances;
        assert_eq!(instances(Isolation::Process), 1);
        assert_eq!(instances(Isolation::Thread) as usize, 8 + ABANDONED);
    }
}
