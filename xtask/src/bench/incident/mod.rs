//! `bench incident`: what well-behaved clients feel while others behave as badly as they can.

mod page;
pub(super) mod victims;

use super::measure::settle;
use crate::{Result, install};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;
use testkit::attack::{Attack, ENDLESS, SCENES, Scene, Tally};
use testkit::{Client, Flavour, Reply, Server, Spec, proc, wait};
use victims::{Felt, Victims};

pub(super) struct Plan {
    pub(super) program: PathBuf,
    pub(super) rounds: usize,
    pub(super) seconds: f64,
    pub(super) scene: Option<String>,
    pub(super) with_redis: bool,
    /// The part of a CPU that the attackers may take.
    pub(super) attackers_cpu: f64,
    /// Where the page is; the picture lies beside it.
    pub(super) out: Option<PathBuf>,
}

/// The default, which testkit lifts for crowds from one address.
const PER_PEER: &str = "256";
const ATTACKERS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const WARM_UP: Duration = Duration::from_millis(500);
const KILL_TIME_MAX: Duration = Duration::from_secs(30);
/// Files that this process needs for each of all connections, and others.
const FILES: u64 = 6_000;

/// What a server counts of itself. Valkey and Redis have none of these.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    elections: u64,
    /// Batches that a queue of consensus had no room for.
    queue_full: u64,
    /// Told BUSY by the heavy pool.
    busy: u64,
    /// Turned away at the door, with a word and without.
    turned_away: u64,
    /// From the submission of a batch to its commit, idle and under attack.
    commit_ms: [f64; 2],
}

/// One server in one round of a scene.
struct Round {
    idle: [Felt; 3],
    attacked: [Felt; 3],
    /// What they felt when another server of the same kind on this machine was attacked so: what of it is the machine's.
    elsewhere: Option<[Felt; 3]>,
    tally: Tally,
    counts: Option<Counts>,
    /// CPU time under attack, by class of thread.
    cpu: BTreeMap<String, Duration>,
    resident_bytes: u64,
}

/// What was measured of a scene: by server, by round.
struct Played {
    scene: &'static Scene,
    servers: Vec<(&'static str, Vec<Round>)>,
}

pub(super) fn run(plan: &Plan) -> Result {
    let is_chosen = |scene: &&Scene| plan.scene.as_ref().is_none_or(|name| name == scene.name);
    let scenes: Vec<&'static Scene> = SCENES.iter().filter(is_chosen).collect();
    if scenes.is_empty() {
        let names: Vec<&str> = SCENES.iter().map(|scene| scene.name).collect();
        return Err(format!("there is no such scene; there are {}", names.join(", ")).into());
    }
    install::servers()?;
    proc::raise_files(FILES)?;
    let ours = Spec::of_program(&plan.program);
    let ours = match ours.flavour {
        Flavour::Bulkhead => ours.arg("--max-connections-per-peer").arg(PER_PEER),
        _ => ours,
    };
    let mut subjects = vec![("Bulkhead", ours), ("Valkey", Spec::valkey()?)];
    if plan.with_redis {
        subjects.push(("Redis", Spec::redis()?));
    }
    let mut all = Vec::new();
    for scene in scenes {
        let played = play(plan, scene, &subjects)?;
        println!("{}", page::table(std::slice::from_ref(&played)));
        all.push(played);
    }
    if let Some(out) = &plan.out {
        page::write(out, &all, &subjects, plan)?;
    }
    Ok(())
}

fn play(plan: &Plan, scene: &'static Scene, subjects: &[(&'static str, Spec)]) -> Result<Played> {
    let mut stages = Vec::new();
    for (name, spec) in subjects {
        eprintln!("{}: filling {name}", scene.name);
        let server = spec.start()?;
        (scene.fill)(&mut server.client()?)?;
        let decoy = match server.flavour() {
            Flavour::Bulkhead => {
                let decoy = spec.start()?;
                (scene.fill)(&mut decoy.client()?)?;
                Some(decoy)
            }
            _ => None,
        };
        let mut victims = Victims::connect(server.addr())?;
        victims.run(WARM_UP, || Ok(()))?;
        stages.push((*name, (server, decoy), victims, Vec::new()));
    }
    for round in 0..plan.rounds {
        let mut order: Vec<_> = stages.iter_mut().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for (name, (server, decoy), victims, rounds) in order {
            eprintln!("{}: round {} of {}, {name}", scene.name, round + 1, plan.rounds);
            let found = measure(plan, scene, server, victims).and_then(|round| match decoy {
                Some(decoy) => Ok(Round { elsewhere: Some(beside(plan, scene, decoy, victims)?), ..round }),
                None => Ok(round),
            });
            rounds.push(
                found.map_err(|error| format!("{}, {name}: {error}\n{}", scene.name, server.log_tail()))?,
            );
        }
    }
    let servers = stages.into_iter().map(|(name, _, _, rounds)| (name, rounds)).collect();
    Ok(Played { scene, servers })
}

fn measure(plan: &Plan, scene: &Scene, server: &Server, victims: &mut Victims) -> Result<Round> {
    let length = Duration::from_secs_f64(plan.seconds);
    // Before the attack: during it there may be no place.
    let mut control = server.client()?;
    settle(server)?;
    reset_commits(server, &mut control)?;
    let idle = victims.run(length, || Ok(()))?;
    let idle_commit_ms = counts(server, &mut control)?.map_or(0.0, |counts| counts.commit_ms[1]);
    reset_commits(server, &mut control)?;
    let before = counts(server, &mut control)?;
    let cpu_before = proc::cpu_time_by_class(server.pid())?;
    let (mut tally, mut cpu, mut resident_bytes) = (Tally::default(), BTreeMap::new(), 0);
    let attack =
        Attack::start(ATTACKERS, server.addr(), &(scene.loads)(server.flavour()), plan.attackers_cpu);
    let attacked = victims.run(length, || {
        resident_bytes = proc::resident_bytes(server.pid())?;
        cpu = proc::cpu_time_by_class(server.pid())?;
        tally = attack.stop()?;
        if scene.name == ENDLESS { kill_scripts(&mut control) } else { Ok(()) }
    })?;
    for (class, time) in &mut cpu {
        *time = time.saturating_sub(cpu_before.get(class).copied().unwrap_or_default());
    }
    let counts = match (before, counts(server, &mut control)?) {
        (Some(before), Some(after)) => Some(Counts {
            elections: after.elections - before.elections,
            queue_full: after.queue_full - before.queue_full,
            busy: after.busy - before.busy,
            turned_away: after.turned_away - before.turned_away,
            commit_ms: [idle_commit_ms, after.commit_ms[1]],
        }),
        _ => None,
    };
    Ok(Round { idle, attacked, elsewhere: None, tally, counts, cpu, resident_bytes })
}

/// What they feel while another server on this machine is attacked.
fn beside(plan: &Plan, scene: &Scene, decoy: &Server, victims: &mut Victims) -> Result<[Felt; 3]> {
    settle(decoy)?;
    let mut control = decoy.client()?;
    let attack = Attack::start(ATTACKERS, decoy.addr(), &(scene.loads)(decoy.flavour()), plan.attackers_cpu);
    victims.run(Duration::from_secs_f64(plan.seconds), || {
        attack.stop()?;
        if scene.name == ENDLESS { kill_scripts(&mut control) } else { Ok(()) }
    })
}

fn reset_commits(server: &Server, control: &mut Client) -> Result {
    match server.flavour() {
        Flavour::Bulkhead => control.want("CONFIG RESETSTAT").map(|_| ()),
        _ => Ok(()),
    }
}

/// Until there are none: elsewhere those of clients that have left go on.
fn kill_scripts(control: &mut Client) -> Result {
    wait::until("the scripts to be killed", KILL_TIME_MAX, || match control.line("SCRIPT KILL") {
        Ok(Reply::Error(text)) if text.starts_with("NOTBUSY") => Some(Ok(())),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })?
}

fn counts(server: &Server, control: &mut Client) -> Result<Option<Counts>> {
    if server.flavour() != Flavour::Bulkhead {
        return Ok(None);
    }
    let info = control.want("INFO everything")?;
    let text = String::from_utf8_lossy(info.bytes().unwrap_or_default()).into_owned();
    Ok(Some(Counts {
        elections: sum(&text, "elections="),
        queue_full: sum(&text, "refused_full="),
        busy: sum(&text, "busy:"),
        turned_away: sum(&text, "rejected_connections:"),
        commit_ms: [0.0, sum(&text, "commit_p99_usec=") as f64 / 1e3],
    }))
}

/// The sum of all fields of a name, each of which begins a line or stands behind a comma.
fn sum(info: &str, name: &str) -> u64 {
    let fields = info.lines().flat_map(|line| line.split(','));
    fields.filter_map(|field| field.trim().strip_prefix(name)?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_groups_count_is_added_up() {
        let info =
            "busy:7\r\ngroup0:role=leader,elections=1,refused_full=0\r\ngroup1:role=leader,elections=2\r\n";
        assert_eq!((sum(info, "elections="), sum(info, "busy:"), sum(info, "refused_full=")), (3, 7, 0));
    }
}
