//! `create`, `delete`, `update`, `suspend`, `pause`, `resume`: one name after the other. What fails does
//! not keep the others from being done, unless nothing can be done any more.

use ateproto::{Actor, ActorRef, Atespace, Selector};
use tonic::Code;

use crate::cli::{ChangeArgs, CreateArgs, DeleteArgs, ResumeArgs, Selection, UpdateArgs};
use crate::client::Client;
use crate::failure::Failure;
use crate::names::{self, Kind};
use crate::output::{self, Format, Look, Printer, push_line};
use crate::resource::Resource;
use crate::retry::Repeat;
use crate::{Session, status};

pub async fn create(mut session: Session, args: CreateArgs) -> Result<(), Failure> {
    let kind = args.target.kind;
    let names = some(args.target.names(args.names)?)?;
    let Some(template) = args.template else {
        if kind == Kind::Actor {
            return Err(Failure::Usage("an actor needs --template NAMESPACE/NAME".into()));
        }
        if args.space.atespace.is_some() || !args.selection.labels.is_empty() {
            return Err(Failure::Usage("-a and --selector-label are for actors".into()));
        }
        let client = session.connect().await?;
        let make = async |name| client.create_atespace(name).await;
        return each::<Atespace, _>(session, names, args.output, "created", make).await;
    };
    if kind != Kind::Actor {
        return Err(Failure::Usage("--template is for actors".into()));
    }
    let refs = actors(&names, args.space.or_variable())?;
    let selector = selector(args.selection);
    let client = session.connect().await?;
    let make =
        async |actor| client.create_actor(actor, &template, selector.clone(), Repeat::Misleading).await;
    each::<Actor, _>(session, refs, args.output, "created", make).await
}

pub async fn update(session: Session, args: UpdateArgs) -> Result<(), Failure> {
    let selector = selector(args.selection);
    let update = async |client: &Client, actor| client.update_actor(actor, selector.clone()).await;
    change(session, args.change, "updated", update).await
}

pub async fn suspend(session: Session, args: ChangeArgs) -> Result<(), Failure> {
    change(session, args, "suspended", async |client, actor| client.suspend_actor(actor).await).await
}

pub async fn pause(session: Session, args: ChangeArgs) -> Result<(), Failure> {
    change(session, args, "paused", async |client, actor| client.pause_actor(actor).await).await
}

pub async fn resume(session: Session, args: ResumeArgs) -> Result<(), Failure> {
    let boot = args.boot;
    change(session, args.change, "resumed", async |client, actor| client.resume_actor(actor, boot).await)
        .await
}

pub async fn delete(mut session: Session, args: DeleteArgs) -> Result<(), Failure> {
    let kind = args.target.kind;
    let names = some(args.target.names(args.names)?)?;
    let refs = match kind {
        Kind::Actor => actors(&names, args.space.or_variable())?,
        _ if args.space.atespace.is_some() => return Err(Failure::Usage("-a is for actors".into())),
        _ => Vec::new(),
    };
    let client = session.connect().await?;
    let mut deleted = Deleting { session, ignore_not_found: args.ignore_not_found, has_failed: false };
    if kind == Kind::Actor {
        for actor in refs {
            let key = format!("{}/{}", actor.atespace, actor.name);
            deleted.one(kind, &key, client.delete_actor(actor, Repeat::Misleading)).await?;
        }
    } else {
        for name in names {
            deleted.one(kind, &name, client.delete_atespace(name.clone())).await?;
        }
    }
    if deleted.has_failed { Err(Failure::Said) } else { Ok(()) }
}

struct Deleting {
    session: Session,
    ignore_not_found: bool,
    has_failed: bool,
}

impl Deleting {
    async fn one(
        &mut self,
        kind: Kind,
        key: &str,
        call: impl Future<Output = Result<(), Failure>>,
    ) -> Result<(), Failure> {
        match self.session.interrupt.or(call).await? {
            Ok(()) => {
                let line = format!("{} \"{}\" deleted", kind.singular(), crate::text::escape(key));
                push_line(self.session.stdout.buffer(), &line);
                self.session.stdout.flush(&mut self.session.interrupt).await
            }
            Err(failure) if failure.is(Code::NotFound) && self.ignore_not_found => Ok(()),
            Err(failure) => {
                self.has_failed = true;
                go_on_after(failure)
            }
        }
    }
}

/// Says what failed, and whether to try the next one.
fn go_on_after(failure: Failure) -> Result<(), Failure> {
    if failure.is_final() {
        return Err(failure);
    }
    failure.text().iter().for_each(|text| status::say(text));
    Ok(())
}

async fn change(
    mut session: Session,
    args: ChangeArgs,
    done: &str,
    call: impl AsyncFn(&Client, ActorRef) -> Result<Actor, Failure>,
) -> Result<(), Failure> {
    let names = some(args.target.names(args.names)?)?;
    let refs = actors(&names, args.space.or_variable())?;
    let client = session.connect().await?;
    each::<Actor, _>(session, refs, args.output, done, async |actor| call(&client, actor).await).await
}

/// Does it for each, and prints each as soon as it is done.
async fn each<R: Resource, N>(
    mut session: Session,
    names: Vec<N>,
    format: Option<Format>,
    done: &str,
    call: impl AsyncFn(N) -> Result<R, Failure>,
) -> Result<(), Failure> {
    let is_list = names.len() > 1;
    let mut printer = format.map(|format| Printer::<R>::new(format, Look::default()));
    let mut has_failed = false;
    let mut outcome = Ok(());
    for name in names {
        match session.interrupt.or(call(name)).await {
            Ok(Ok(item)) => {
                let out = session.stdout.buffer();
                match &mut printer {
                    None => push_line(out, &format!("{} {done}", output::name(&item))),
                    Some(printer) if is_list => printer.page(std::slice::from_ref(&item), out)?,
                    Some(printer) => printer.one(&item, out)?,
                }
                session.stdout.flush(&mut session.interrupt).await?;
            }
            Ok(Err(failure)) => {
                has_failed = true;
                outcome = go_on_after(failure);
            }
            Err(interrupted) => outcome = Err(interrupted),
        }
        if outcome.is_err() {
            break;
        }
    }
    if let Some(printer) = printer.as_mut().filter(|_| is_list) {
        printer.end(None, session.stdout.buffer());
        session.stdout.flush(&mut session.interrupt).await?;
    }
    outcome?;
    if has_failed { Err(Failure::Said) } else { Ok(()) }
}

fn some(names: Vec<String>) -> Result<Vec<String>, Failure> {
    if names.is_empty() {
        return Err(Failure::Usage("a resource was given, but no name".into()));
    }
    Ok(names)
}

fn actors(names: &[String], atespace: Option<String>) -> Result<Vec<ActorRef>, Failure> {
    names.iter().map(|name| names::actor(name, atespace.as_deref())).collect()
}

/// No labels are no selector.
pub fn selector(selection: Selection) -> Option<Selector> {
    let match_labels: std::collections::BTreeMap<_, _> = selection.labels.into_iter().collect();
    (!match_labels.is_empty()).then_some(Selector { match_labels })
}
