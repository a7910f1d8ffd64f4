//! Finds the circles of a graph and says which kind they are, each by its shortest example.

use super::graph::{Graph, Hop, Link, Part, Scope};
use super::history::History;
use super::violation::{CLASSES, Class, Kind, Violation};
use super::words;

/// Longer circles are not looked for; the shortest has nearly always two or three.
const HOPS_MAX: usize = 64;
/// So many edges are looked at for each kind. A history with a violation may have millions of circles, of
/// which nobody needs the very shortest.
const EFFORT: usize = 30_000_000;

/// One circle of each kind that there is. Those that only the clock shows are looked for only if there are no
/// others.
pub(super) fn find(history: &History, graph: &Graph) -> Vec<Violation> {
    let all = [Link::WriteWrite, Link::WriteRead, Link::ReadWrite];
    let mut found = Vec::new();
    if graph.components(Scope::new(&all, true)).0.is_empty() {
        return found;
    }
    for time in [false, true] {
        for class in CLASSES {
            if let Some(circle) = shortest(history, graph, class, time) {
                let kind = if time { Kind::RealTime(class) } else { Kind::Cycle(class) };
                found.push(Violation { kind, text: words::circle(history, &circle) });
            }
        }
        if !found.is_empty() {
            return found;
        }
    }
    let text = "There are circles, but none that is short enough to be shown.".into();
    found.push(Violation { kind: Kind::RealTime(Class::G2), text });
    found
}

/// A circle of a class has one edge of a kind, and otherwise only edges of its scope.
fn parts(class: Class, time: bool) -> (Link, Scope) {
    let (first, others): (Link, &[Link]) = match class {
        Class::G0 => (Link::WriteWrite, &[Link::WriteWrite]),
        Class::G1c => (Link::WriteRead, &[Link::WriteWrite, Link::WriteRead]),
        Class::GSingle => (Link::ReadWrite, &[Link::WriteWrite, Link::WriteRead]),
        Class::G2 => (Link::ReadWrite, &[Link::WriteWrite, Link::WriteRead, Link::ReadWrite]),
    };
    (first, Scope::new(others, time))
}

fn shortest(history: &History, graph: &Graph, class: Class, time: bool) -> Option<Vec<Hop>> {
    let (first, scope) = parts(class, time);
    let (mut components, numbers) = graph.components(scope.with(first));
    let mut best: Option<Vec<Hop>> = None;
    let mut effort = EFFORT;
    components.sort_by_key(Vec::len);
    for members in &components {
        let Some(number) = members.first().map(|member| numbers[*member as usize]) else { continue };
        let part = Part::new(graph, history, scope, members, &numbers, number);
        for &from in members {
            for edge in graph.edges(from) {
                let hops_max = best.as_ref().map_or(HOPS_MAX, |best| best.len().saturating_sub(2));
                if hops_max == 0 || effort == 0 {
                    return best;
                }
                if edge.link != first || numbers[edge.to as usize] != number {
                    continue;
                }
                let Some(mut circle) = part.way(edge.to, from, hops_max, &mut effort) else { continue };
                circle.insert(0, Hop { from, to: edge.to, by: Some((edge.key, edge.link)) });
                if belongs(&circle, class) {
                    best = Some(circle);
                }
            }
        }
    }
    best
}

/// A longer scope holds the circles of the shorter ones, which are reported as those.
fn belongs(circle: &[Hop], class: Class) -> bool {
    let missed = circle.iter().filter(|hop| matches!(hop.by, Some((_, Link::ReadWrite)))).count();
    class != Class::G2 || missed > 1
}
