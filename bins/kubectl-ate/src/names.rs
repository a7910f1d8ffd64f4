//! The kinds of things and how they are named on the command line: `actors`, `actor/demo/a1`, `demo/a1`.

use ateproto::ActorRef;
use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::ErrorKind;

use crate::failure::Failure;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Actor,
    Worker,
    Atespace,
}

/// Singular, plural, short.
const KINDS: &[(Kind, [&str; 3])] = &[
    (Kind::Actor, ["actor", "actors", "act"]),
    (Kind::Worker, ["worker", "workers", "wk"]),
    (Kind::Atespace, ["atespace", "atespaces", "ats"]),
];

impl Kind {
    fn spellings(self) -> [&'static str; 3] {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or([""; 3], |(_, spellings)| *spellings)
    }

    pub fn singular(self) -> &'static str {
        let [singular, ..] = self.spellings();
        singular
    }

    pub fn plural(self) -> &'static str {
        let [_, plural, _] = self.spellings();
        plural
    }

    fn parse(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        KINDS.iter().find(|(_, spellings)| spellings.contains(&lower.as_str())).map(|(kind, _)| *kind)
    }
}

/// The first word after the verb: `actors`, or `actor/demo/a1` with a name in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub kind: Kind,
    pub name: Option<String>,
}

impl Target {
    fn parse(text: &str) -> Option<Self> {
        match text.split_once('/') {
            Some((_, "")) => None,
            Some((kind, name)) => Some(Self { kind: Kind::parse(kind)?, name: Some(name.to_owned()) }),
            None => Some(Self { kind: Kind::parse(text)?, name: None }),
        }
    }

    /// All names that were given; each may repeat the kind, as `-o name` prints them.
    pub fn names(self, more: Vec<String>) -> Result<Vec<String>, Failure> {
        let strip = |name: String| match name.split_once('/') {
            Some((kind, rest)) if kind == self.kind.singular() => rest.to_owned(),
            _ => name,
        };
        if self.name.is_some() && more.iter().any(|name| !name.contains('/')) {
            return Err(Failure::Usage("either TYPE NAME… or TYPE/NAME…, not both".into()));
        }
        Ok(self.name.into_iter().chain(more.into_iter().map(strip)).collect())
    }
}

/// Reads a [`Target`], and offers what it may be for help and completion.
#[derive(Clone)]
pub struct TargetParser(pub &'static [Kind]);

impl TypedValueParser for TargetParser {
    type Value = Target;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Target, clap::Error> {
        let text = value.to_string_lossy();
        if let Some(target) = Target::parse(&text).filter(|target| self.0.contains(&target.kind)) {
            return Ok(target);
        }
        let kinds: Vec<&str> = self.0.iter().map(|kind| kind.plural()).collect();
        let text = crate::text::escape(&text);
        let why = format!("there is no resource type \"{text}\" here: {}", kinds.join(", "));
        Err(command.clone().error(ErrorKind::InvalidValue, why))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(|kind| {
            let [singular, plural, short] = kind.spellings();
            PossibleValue::new(plural).aliases([singular, short])
        })))
    }
}

/// The actor that `name` names: `a1` in the atespace that is given, or `demo/a1`.
pub fn actor(name: &str, atespace: Option<&str>) -> Result<ActorRef, Failure> {
    let (atespace, name) = match (name.split_once('/'), atespace) {
        (Some((own, _)), Some(given)) if own != given => {
            return Err(Failure::Usage(format!("actor \"{name}\" is not in atespace \"{given}\"")));
        }
        (Some((own, name)), _) => (own, name),
        (None, Some(given)) => (given, name),
        (None, None) => {
            return Err(Failure::Usage(format!(
                "which atespace is actor \"{name}\" in? Give -a ATESPACE (or ATE_ATESPACE), or say ATESPACE/{name}"
            )));
        }
    };
    if name.is_empty() || atespace.is_empty() || name.contains('/') {
        return Err(Failure::Usage(format!("\"{atespace}/{name}\" is not the name of an actor")));
    }
    Ok(ActorRef { atespace: atespace.to_owned(), name: name.to_owned() })
}

/// A template's namespace and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub namespace: String,
    pub name: String,
}

impl std::str::FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("wanted: NAMESPACE/NAME".into()),
        }
    }
}

/// One `key=value` of a selector.
pub fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("wanted: KEY=VALUE".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_understood_in_singular_plural_and_short() {
        for (text, kind) in [("actor", Kind::Actor), ("Workers", Kind::Worker), ("ats", Kind::Atespace)] {
            assert_eq!(Target::parse(text), Some(Target { kind, name: None }));
        }
        assert_eq!(Target::parse("pods"), None);
        assert_eq!(Target::parse("actor/"), None);
    }

    #[test]
    fn what_o_name_prints_can_be_given_back() {
        let target = Target::parse("actor/demo/a1").unwrap();
        let names = target.names(vec!["actor/demo/a2".into(), "demo/a3".into()]).unwrap();
        assert_eq!(names, ["demo/a1", "demo/a2", "demo/a3"]);
        let target = Target::parse("actors").unwrap();
        assert_eq!(target.names(vec!["a1".into(), "actor/demo/a2".into()]).unwrap(), ["a1", "demo/a2"]);
        assert!(Target::parse("actor/demo/a1").unwrap().names(vec!["a2".into()]).is_err());
    }

    #[test]
    fn an_actor_is_named_with_its_atespace() {
        let expected = ActorRef { atespace: "demo".into(), name: "a1".into() };
        assert_eq!(actor("a1", Some("demo")).unwrap(), expected);
        assert_eq!(actor("demo/a1", None).unwrap(), expected);
        assert_eq!(actor("demo/a1", Some("demo")).unwrap(), expected);
        for (name, atespace) in [("a1", None), ("demo/a1", Some("other")), ("a/b/c", None), ("/a", None)] {
            assert!(matches!(actor(name, atespace), Err(Failure::Usage(_))), "{name}");
        }
    }

    #[test]
    fn templates_and_labels_have_two_parts() {
        assert!("default/counter".parse::<Template>().is_ok());
        for wrong in ["counter", "/counter", "default/", "a/b/c"] {
            assert!(wrong.parse::<Template>().is_err(), "{wrong}");
        }
        assert_eq!(label("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(label("a="), Ok(("a".into(), String::new())));
        assert!(label("=b").is_err() && label("a").is_err());
    }
}
