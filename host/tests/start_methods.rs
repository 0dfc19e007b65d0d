//! How process workers come to be: whose children they are, what they have, and what becomes of them when
//! the process that they were forked from dies.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cofferdam::{Isolation, Job, Pool, PoolBuilder, RestartPolicy, StartMethod};
use rustix::process::Signal;

use common::{
    Numbers, PATIENCE, Way, builder, children_of, embedded, for_each, reply, see, send, wait_for,
    wait_until, ways,
};

/// The tests of this file look at the children of their process, so one runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    wait_until("the last test's processes are gone", || {
        children_of(std::process::id()).is_empty()
    });
    guard
}

/// Those in which workers are forked.
fn forked_ways() -> impl Iterator<Item = Way> {
    ways().filter(|way| way.start != StartMethod::Exec)
}

fn echo(start: StartMethod) -> PoolBuilder {
    builder(&embedded("echo"), Isolation::Process).start(start)
}

fn built(builder: PoolBuilder) -> Pool {
    builder.build().expect("the pool is built")
}

fn children() -> BTreeSet<u32> {
    let children = children_of(std::process::id());
    let living = children.into_iter().filter(|child| child.state != 'Z');
    living.map(|child| child.pid).collect()
}

fn workers(pool: &Pool) -> BTreeSet<u32> {
    pool.workers()
        .iter()
        .filter_map(|worker| worker.pid)
        .collect()
}

/// The fork server of the only pool that has `waiting` spares: the child that was there first.
fn server_of(pool: &Pool) -> u32 {
    assert_eq!(reply(pool, Job::new("warm")).output, b"warm");
    wait_for("the server", || {
        let mut others = children()
            .difference(&workers(pool))
            .copied()
            .collect::<Vec<_>>();
        others.retain(|&pid| group(pid) == Some(pid));
        others.first().copied()
    })
}

/// The process group of a process: the fifth field of `proc_pid_stat(5)`.
fn group(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(2)?.parse().ok()
}

/// What the descriptors of a process point at, without those that lead to compiled or initial memory.
fn descriptors(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("the process lives");
    let targets = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let mut names: Vec<String> = targets
        .map(|target| target.to_string_lossy().into_owned())
        .filter(|name| !name.starts_with("/memfd:"))
        .collect();
    names.sort();
    names
}

#[test]
fn a_forked_worker_is_a_child_of_the_host_like_one_that_was_spawned() {
    let _alone = alone();
    for_each(ways(), |way| {
        let pool = built(way.builder(&embedded("echo")));
        let pid = wait_for("a worker", || pool.workers().first()?.pid);
        let seen = see(pid).expect("it lives");
        assert_eq!(seen.parent, std::process::id());
    });
}

#[test]
fn a_forked_worker_has_its_own_link_and_no_other_way_out() {
    let _alone = alone();
    // Whoever runs the tests may have left descriptors open that every child inherits.
    let inherited = descriptors(std::process::id());
    for_each(forked_ways(), |way| {
        let pool = built(way.builder(&embedded("echo")).workers(2));
        let server = server_of(&pool);
        let workers = wait_for("two workers", || {
            let workers = workers(&pool);
            (workers.len() == 2).then_some(workers)
        });
        let is_socket = |name: &String| name.starts_with("socket:");
        // While it forks, it holds the ends of the new worker's link as well.
        let of_server = wait_for("the server holds its way to the host alone", || {
            let held = descriptors(server).into_iter().filter(is_socket);
            let held: BTreeSet<String> = held.collect();
            (held.len() == 1).then_some(held)
        });
        let mut links = BTreeSet::new();
        for &pid in &workers {
            // The first thing that a new process does is to close what is the server's.
            wait_until("the server's way to the host is closed", || {
                !descriptors(pid).iter().any(|name| of_server.contains(name))
            });
            let mut held = descriptors(pid);
            held.retain(|name| !inherited.contains(name));
            let sockets: BTreeSet<&String> = held.iter().filter(|name| is_socket(name)).collect();
            assert!(sockets.len() <= 1, "{held:?}");
            for socket in sockets {
                assert!(
                    !of_server.contains(socket),
                    "it holds the server's way to the host"
                );
                assert!(
                    links.insert(socket.clone()),
                    "it holds another worker's link"
                );
            }
            let others = held.iter().filter(|name| !is_socket(name));
            // Its stdin, stdout and stderr: one pipe, its last words.
            let pipes: BTreeSet<&String> = others.collect();
            assert_eq!(pipes.len(), 1, "{held:?}");
            assert!(
                pipes.iter().all(|name| name.starts_with("pipe:")),
                "{held:?}"
            );
        }
        drop(pool);
        wait_until("nobody is left", || {
            children_of(std::process::id()).is_empty()
        });
    });
}

#[test]
fn workers_outlive_the_server_that_they_were_forked_from() {
    let _alone = alone();
    for_each(forked_ways(), |way| {
        // Without any in the stock, so that the next worker needs a server.
        let pool = built(way.builder(&embedded("echo")).spares(0));
        let server = server_of(&pool);
        let worker = workers(&pool);
        send(server, Signal::KILL);
        wait_until("the server is gone", || see(server).is_none());
        assert_eq!(reply(&pool, Job::new("still here")).output, b"still here");
        assert_eq!(workers(&pool), worker);
        // The next worker needs another server, and has it.
        for &pid in &worker {
            send(pid, Signal::KILL);
        }
        wait_until("another worker", || {
            let now = workers(&pool);
            !now.is_empty() && now.is_disjoint(&worker)
        });
        assert_eq!(reply(&pool, Job::new("again")).output, b"again");
        assert_ne!(server_of(&pool), server);
        let health = pool.drain();
        assert_eq!((health.failed_starts, health.died), (0, 1));
        wait_until("nobody is left", || {
            children_of(std::process::id()).is_empty()
        });
    });
}

/// How often servers are killed by each of these start methods together; `COFFERDAM_KILLS=1000` for a longer look.
fn server_kills() -> u64 {
    let wish = std::env::var("COFFERDAM_KILLS").ok();
    wish.map_or(200, |kills| {
        kills.parse().expect("COFFERDAM_KILLS is a number")
    })
}

/// Kills workers, so that forks are asked for, and somewhere on the way the server, until so many servers
/// have died of it; says how many jobs that took.
fn kill_servers(pool: &Pool, kills: u64, numbers: &mut Numbers) -> u64 {
    let mut killed = BTreeSet::new();
    let mut jobs = 0;
    while u64::try_from(killed.len()).is_ok_and(|count| count < kills) {
        let input = format!("job {jobs}");
        let ticket = pool.submit(Job::new(input.clone())).expect("it is taken");
        // Those in the stock too, or nothing would be forked.
        for pid in children() {
            if group(pid) != Some(pid) {
                send(pid, Signal::KILL);
            }
        }
        std::thread::sleep(Duration::from_micros(numbers.below(3_000)));
        // A process that leads its group and is ours is a server; it was alive when it was looked for, and one
        // that is killed does not come back, so each is counted once.
        for pid in children() {
            if group(pid) == Some(pid) {
                send(pid, Signal::KILL);
                killed.insert(pid);
            }
        }
        let completion = ticket.wait_for(PATIENCE).expect("it ends");
        let reply = completion.result.expect("it is run again");
        assert_eq!(reply.output, input.as_bytes());
        jobs += 1;
    }
    jobs
}

#[test]
fn a_server_killed_at_any_moment_costs_no_job_and_leaves_no_orphan() {
    let _alone = alone();
    // A worker that is killed before its first job counts as one that did not start, and some are.
    let patient = RestartPolicy {
        quarantine_after: usize::MAX,
        longest_pause: Duration::from_millis(50),
        ..RestartPolicy::default()
    };
    let mut numbers = Numbers(7);
    let methods = [StartMethod::Fork, StartMethod::Spare];
    for start in methods {
        let each = server_kills().div_ceil(2);
        let pool = built(
            echo(start)
                .workers(2)
                .spares(1)
                // A job that is run when its worker is killed is run again, and may meet the next kill.
                .retries(1000)
                .restart(patient),
        );
        let jobs = kill_servers(&pool, each, &mut numbers);
        assert_eq!(pool.health().answered, jobs, "{start}");
        let spares = match start {
            StartMethod::Spare => 1,
            _ => 0,
        };
        // Whoever needs a server next makes one, so there may be none.
        wait_until("nobody is left but workers, spares and one server", || {
            let (children, workers) = (children(), workers(&pool));
            let mut others: Vec<u32> = children.difference(&workers).copied().collect();
            others.retain(|&pid| group(pid) != Some(pid));
            workers.len() == 2
                && children.is_superset(&workers)
                && others.len() <= spares
                && children.len() <= 3 + spares
        });
        drop(pool);
        wait_until("nobody is left at all", || {
            children_of(std::process::id()).is_empty()
        });
    }
}

#[test]
fn a_spare_worker_takes_the_place_of_one_that_died() {
    let _alone = alone();
    let pool = built(echo(StartMethod::Spare).spares(2));
    let server = server_of(&pool);
    let spares = wait_for("two spares", || {
        let mut spares = children();
        for pid in &workers(&pool) {
            spares.remove(pid);
        }
        spares.remove(&server);
        (spares.len() == 2).then_some(spares)
    });
    let first = workers(&pool);
    for &pid in &first {
        send(pid, Signal::KILL);
    }
    let second = wait_for("another worker", || {
        let now = workers(&pool);
        (!now.is_empty() && now.is_disjoint(&first)).then_some(now)
    });
    assert!(second.is_subset(&spares), "{second:?} of {spares:?}");
    assert_eq!(reply(&pool, Job::new("next")).output, b"next");
    // The label names the slot, not the stock.
    assert!(pool.workers()[0].label.starts_with("process-1 pid"));
    wait_until("the stock is full again", || children().len() == 4);
}

#[test]
fn a_spare_worker_that_died_in_the_stock_is_not_handed_out() {
    let _alone = alone();
    let pool = built(echo(StartMethod::Spare).spares(1));
    let server = server_of(&pool);
    wait_until("a spare", || children().len() == 3);
    let worker = workers(&pool);
    for pid in children() {
        if pid != server && !worker.contains(&pid) {
            send(pid, Signal::KILL);
            wait_until("the spare is gone", || see(pid).is_none());
        }
    }
    for &pid in &worker {
        send(pid, Signal::KILL);
    }
    wait_until("another worker", || {
        let now = workers(&pool);
        !now.is_empty() && now.is_disjoint(&worker)
    });
    assert_eq!(reply(&pool, Job::new("next")).output, b"next");
    assert_eq!(pool.drain().died, 1);
}
