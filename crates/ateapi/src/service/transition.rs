//! The life of an actor: what may follow on what. Pure.

use crate::proto::actor::Status;

/// What somebody wants of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Resume,
    Suspend,
    Pause,
    Update,
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is what is wanted already.
    Nothing,
    /// The way there begins.
    Begin,
    /// The way there has begun: a call has failed half-way, or is still at it.
    Continue,
    /// It cannot be done in this state, and why.
    Refuse(&'static str),
}

/// What to do for a verb in a status.
pub fn decide(status: Status, verb: Verb) -> Decision {
    use Decision::{Begin, Continue, Nothing, Refuse};
    match (verb, status) {
        (_, Status::Unspecified) => Refuse("is in a state that this version does not know"),

        (Verb::Resume, Status::Suspended | Status::Paused) => Begin,
        (Verb::Resume, Status::Resuming) => Continue,
        (Verb::Resume, Status::Running) => Nothing,
        (Verb::Resume, Status::Suspending) => Refuse("is being suspended: repeat that call to its end first"),
        (Verb::Resume, Status::Pausing) => Refuse("is being paused: repeat that call to its end first"),

        // Out of RESUMING it gives the resume up.
        (Verb::Suspend, Status::Running | Status::Paused | Status::Resuming) => Begin,
        (Verb::Suspend, Status::Suspending) => Continue,
        (Verb::Suspend, Status::Suspended) => Nothing,
        (Verb::Suspend, Status::Pausing) => Refuse("is being paused: repeat that call to its end first"),

        (Verb::Pause, Status::Running) => Begin,
        (Verb::Pause, Status::Pausing) => Continue,
        (Verb::Pause, Status::Paused) => Nothing,
        (Verb::Pause, Status::Suspended) => Refuse("is suspended: only a running actor can be paused"),
        (Verb::Pause, Status::Suspending) => Refuse("is being suspended: only a running actor can be paused"),
        (Verb::Pause, Status::Resuming) => Refuse("is being resumed: only a running actor can be paused"),

        (Verb::Update, _) => Begin,

        (Verb::Delete, Status::Suspended) => Begin,
        (Verb::Delete, Status::Running) => Refuse("is running: suspend it first"),
        (Verb::Delete, Status::Paused) => Refuse("is paused: suspend it first"),
        (Verb::Delete, Status::Resuming) => Refuse("is being resumed: suspend it first"),
        (Verb::Delete, Status::Suspending) => Refuse("is being suspended: repeat that call to its end first"),
        (Verb::Delete, Status::Pausing) => Refuse("is being paused: repeat that call to its end first"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row a status, one letter a verb: `.` nothing, `B`egin, `C`ontinue, `-` refuse.
    const TABLE: &[(Status, &str)] = &[
        //                     Resume Suspend Pause Update Delete
        (Status::Unspecified, "-----"),
        (Status::Resuming, "CB-B-"),
        (Status::Running, ".BBB-"),
        (Status::Suspending, "-C-B-"),
        (Status::Suspended, "B.-BB"),
        (Status::Pausing, "--CB-"),
        (Status::Paused, "BB.B-"),
    ];

    #[test]
    fn every_pair_is_decided() {
        let verbs = [Verb::Resume, Verb::Suspend, Verb::Pause, Verb::Update, Verb::Delete];
        for (status, row) in TABLE {
            let letters = verbs.map(|verb| match decide(*status, verb) {
                Decision::Nothing => '.',
                Decision::Begin => 'B',
                Decision::Continue => 'C',
                Decision::Refuse(_) => '-',
            });
            assert_eq!(letters.iter().collect::<String>(), *row, "{status:?}");
        }
        let known = (0..).map_while(|number| Status::try_from(number).ok()).count();
        assert_eq!(known, TABLE.len());
    }
}
