//! `get`: what it asks for, and from which calls that comes.

use ateproto::{Actor, ActorRef, Atespace, Worker};
use tonic::Code;

use crate::api::Page;
use crate::cli::GetArgs;
use crate::client::Client;
use crate::failure::Failure;
use crate::list::{self, Listing};
use crate::names::{self, Kind};
use crate::output::{Look, Printer};
use crate::resource::Resource;
use crate::watch::{self, Watching};
use crate::{Session, status};

pub async fn run(mut session: Session, mut args: GetArgs) -> Result<(), Failure> {
    let kind = args.target.kind;
    let names = args.target.clone().names(std::mem::take(&mut args.names))?;
    check(&args, &names)?;
    let client = session.connect().await?;
    match kind {
        Kind::Actor if names.is_empty() => actors(session, &client, &args).await,
        Kind::Actor => {
            let atespace = args.space.or_variable();
            let refs: Result<Vec<ActorRef>, Failure> =
                names.iter().map(|name| names::actor(name, atespace.as_deref())).collect();
            by_name::<Actor, _>(session, &args, refs?, async |actor| client.get_actor(actor).await).await
        }
        Kind::Worker if names.is_empty() => {
            let fetch = async |_, _| client.list_workers().await.map(Page::whole);
            all::<Worker>(session, &args, Look::default(), String::new(), fetch).await
        }
        Kind::Worker => {
            let fetch = async |name: String| one_worker(client.list_workers().await?, &name);
            by_name::<Worker, _>(session, &args, names, fetch).await
        }
        Kind::Atespace if names.is_empty() => {
            let fetch = async |_, _| client.list_atespaces().await.map(Page::whole);
            all::<Atespace>(session, &args, Look::default(), String::new(), fetch).await
        }
        Kind::Atespace => {
            by_name::<Atespace, _>(session, &args, names, async |name| client.get_atespace(name).await).await
        }
    }
}

/// What makes no sense together, beyond what the options say by themselves.
fn check(args: &GetArgs, names: &[String]) -> Result<(), Failure> {
    let kind = args.target.kind;
    let usage = |why: String| Err(Failure::Usage(why));
    if kind != Kind::Actor && args.space.atespace.is_some() {
        return usage(format!("{} are in no atespace: leave -a out", kind.plural()));
    }
    let is_paged = kind == Kind::Actor && names.is_empty();
    if !is_paged && (args.limit.is_some() || args.page_token.is_some()) {
        return usage("--limit and --page-token are for listings of actors".into());
    }
    if !names.is_empty() && args.all_atespaces {
        return usage("a resource cannot be retrieved by name across all atespaces".into());
    }
    Ok(())
}

async fn actors(session: Session, client: &Client, args: &GetArgs) -> Result<(), Failure> {
    let atespace = if args.all_atespaces { None } else { args.space.or_variable() };
    let look = Look { one_atespace: atespace.is_some(), ..Look::default() };
    let place = atespace.as_ref().map_or_else(String::new, |name| format!(" in atespace \"{name}\""));
    let atespace = atespace.unwrap_or_default();
    let fetch = async |size, token| client.list_actors(size, token, atespace.clone()).await;
    all::<Actor>(session, args, look, place, fetch).await
}

/// All that `fetch` brings, once or again and again.
async fn all<R: Resource>(
    mut session: Session,
    args: &GetArgs,
    look: Look,
    place: String,
    fetch: impl AsyncFn(i32, String) -> Result<Page<R>, Failure>,
) -> Result<(), Failure> {
    let look = Look { no_headers: args.no_headers, events: args.watch, ..look };
    if args.watch {
        return watch::run(&mut session, watching(args, look), fetch).await;
    }
    let token = args.page_token.clone().unwrap_or_default();
    let listing =
        Listing { format: args.output, look, chunk: args.chunk_size, limit: args.limit, token, place };
    list::run(&mut session, listing, fetch).await
}

fn watching(args: &GetArgs, look: Look) -> Watching {
    Watching {
        format: args.output,
        look,
        chunk: args.chunk_size,
        limit: usize::try_from(args.watch_limit).unwrap_or(usize::MAX),
        interval: args.watch_interval,
    }
}

/// Those with the given names; what fails does not keep the others from being shown.
async fn by_name<R: Resource, N: Clone>(
    mut session: Session,
    args: &GetArgs,
    names: Vec<N>,
    fetch: impl AsyncFn(N) -> Result<R, Failure>,
) -> Result<(), Failure> {
    let look = Look { no_headers: args.no_headers, events: args.watch, ..Look::default() };
    if args.watch {
        let pass = async |_, _| {
            let mut items = Vec::with_capacity(names.len());
            for name in &names {
                match fetch(name.clone()).await {
                    Ok(item) => items.push(item),
                    Err(failure) if failure.is(Code::NotFound) => {}
                    Err(failure) => return Err(failure),
                }
            }
            Ok(Page::whole(items))
        };
        return watch::run(&mut session, watching(args, look), pass).await;
    }
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    let is_one = names.len() == 1;
    for name in names {
        match session.interrupt.or(fetch(name)).await? {
            Ok(item) => found.push(item),
            Err(failure) if failure.is(Code::NotFound) && args.ignore_not_found => {}
            Err(failure) if failure.is_final() => return Err(failure),
            Err(failure) => failures.push(failure),
        }
    }
    let mut printer = Printer::<R>::new(args.output, look);
    match found.as_slice() {
        [item] if is_one => printer.one(item, session.stdout.buffer())?,
        // One that was asked for and is not there is no list without anything in it.
        [] if is_one => {}
        items => {
            printer.page(items, session.stdout.buffer())?;
            printer.end(None, session.stdout.buffer());
        }
    }
    session.stdout.flush(&mut session.interrupt).await?;
    failures.iter().filter_map(Failure::text).for_each(|text| status::say(&text));
    if failures.is_empty() { Ok(()) } else { Err(Failure::Said) }
}

/// There is no call for one worker. It may be called by its pod's name alone.
fn one_worker(workers: Vec<Worker>, name: &str) -> Result<Worker, Failure> {
    let is_meant = |worker: &Worker| worker.worker_pod == name || worker.key() == name;
    let mut found = workers.into_iter().filter(is_meant);
    match (found.next(), found.next()) {
        (Some(worker), None) => Ok(worker),
        (Some(first), Some(second)) => Err(Failure::Usage(format!(
            "there are several workers \"{name}\", such as {} and {}",
            first.key(),
            second.key()
        ))),
        (None, _) => {
            Err(Failure::Server { code: Code::NotFound, message: format!("workers \"{name}\" not found") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(pool: &str, pod: &str) -> Worker {
        let (worker_pool, worker_pod) = (pool.to_owned(), pod.to_owned());
        Worker { worker_namespace: "ns".into(), worker_pool, worker_pod, ..Default::default() }
    }

    #[test]
    fn a_worker_is_found_by_its_pod_or_its_whole_name() {
        let workers = vec![worker("p1", "w1"), worker("p1", "w2"), worker("p2", "w2")];
        assert_eq!(one_worker(workers.clone(), "w1").unwrap(), worker("p1", "w1"));
        assert_eq!(one_worker(workers.clone(), "ns/p2/w2").unwrap(), worker("p2", "w2"));
        assert!(
            one_worker(workers.clone(), "w2").unwrap_err().text().unwrap().contains("ns/p1/w2 and ns/p2/w2")
        );
        assert!(one_worker(workers, "w3").unwrap_err().is(Code::NotFound));
    }
}
