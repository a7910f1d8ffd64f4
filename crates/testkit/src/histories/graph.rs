//! Which transaction must be before which, and where that goes round in circles.
//!
//! An edge of data follows from one key's list: an append is before the one behind it (ww) and before who read
//! it (wr); who read a list is before whoever appended what is next (rw). Time gives an edge from each
//! transaction to all that began after its end; those are not written down: transactions are ordered
//! by their beginning, and each has the place from where on they are after it.

use super::evidence::{Evidence, Read};
use super::history::{History, Id};
use super::model::Key;
use std::collections::HashMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    WriteWrite = 1,
    WriteRead = 2,
    ReadWrite = 4,
    /// One was sent behind the other on the same connection. Counts where time does, and says more where the
    /// client did not wait for an answer.
    Connection = 8,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    pub to: Id,
    pub key: Key,
    pub link: Link,
}

/// Which edges count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scope {
    links: u8,
    pub time: bool,
}

impl Scope {
    pub(super) fn new(links: &[Link], time: bool) -> Self {
        let order = if time { Link::Connection as u8 } else { 0 };
        Self { links: links.iter().fold(order, |all, link| all | *link as u8), time }
    }

    pub(super) fn with(self, link: Link) -> Self {
        Self { links: self.links | link as u8, ..self }
    }

    pub(super) fn has(self, link: Link) -> bool {
        self.links & link as u8 != 0
    }
}

/// Of appends that nobody saw, so many of a key are ordered. A history that ends with reads has none.
const UNSEEN_MAX: usize = 8;

#[derive(Debug)]
pub(super) struct Graph {
    /// Where each transaction's edges begin.
    firsts: Vec<u32>,
    edges: Vec<Edge>,
    /// Those that took effect, as they began.
    pub starts: Vec<Id>,
    /// By transaction: the first of `starts` that began after its end.
    after: Vec<u32>,
}

impl Graph {
    pub(super) fn build(history: &History, evidence: &mut Evidence<'_>) -> Self {
        let mut pairs = data_edges(history, evidence);
        connection_edges(history, &evidence.happened, &mut pairs);
        let nodes = history.len();
        let mut firsts = vec![0u32; nodes + 1];
        for (from, _) in &pairs {
            firsts[*from as usize + 1] += 1;
        }
        for node in 0..nodes {
            firsts[node + 1] += firsts[node];
        }
        let mut next = firsts.clone();
        let mut edges = vec![Edge { to: 0, key: 0, link: Link::WriteWrite }; pairs.len()];
        for (from, edge) in pairs {
            let place = &mut next[from as usize];
            edges[*place as usize] = edge;
            *place += 1;
        }
        let happened = |id: &Id| evidence.happened[*id as usize];
        let mut starts: Vec<Id> = (0..nodes as Id).filter(happened).collect();
        starts.sort_by_key(|id| history.entry(*id).invoked);
        // One sweep over both ends of all.
        let mut ends = starts.clone();
        ends.sort_by_key(|id| history.entry(*id).completed);
        let mut after = vec![0; nodes];
        let mut place = 0;
        for id in ends {
            let completed = history.entry(id).completed;
            while starts.get(place).is_some_and(|next| history.entry(*next).invoked <= completed) {
                place += 1;
            }
            after[id as usize] = place as u32;
        }
        Self { firsts, edges, starts, after }
    }

    pub(super) fn edges(&self, from: Id) -> &[Edge] {
        &self.edges[self.firsts[from as usize] as usize..self.firsts[from as usize + 1] as usize]
    }

    pub(super) fn edge_count(&self) -> usize {
        self.edges.len()
    }

    pub(super) fn transactions(&self) -> usize {
        self.after.len()
    }

    /// The strongly connected components of more than one transaction; the number of each transaction's
    /// component, `u32::MAX` if it is in none of these.
    pub(super) fn components(&self, scope: Scope) -> (Vec<Vec<Id>>, Vec<u32>) {
        Tarjan::new(self, scope).run()
    }

    /// The next node behind `node`, a transaction or a place in `starts` (numbered behind the transactions).
    fn successor(&self, scope: Scope, node: u32, cursor: &mut u32) -> Option<u32> {
        let transactions = self.transactions() as u32;
        if let Some(place) = node.checked_sub(transactions) {
            // From this place on: the transaction that begins here, and the next place.
            *cursor += 1;
            return match *cursor {
                1 => self.starts.get(place as usize).copied(),
                2 if (place as usize) + 1 < self.starts.len() => Some(node + 1),
                _ => None,
            };
        }
        let edges = self.edges(node);
        while let Some(edge) = edges.get(*cursor as usize) {
            *cursor += 1;
            if scope.has(edge.link) {
                return Some(edge.to);
            }
        }
        let after = self.after[node as usize];
        if *cursor == edges.len() as u32 && scope.time && (after as usize) < self.starts.len() {
            *cursor += 1;
            return Some(transactions + after);
        }
        None
    }
}

fn data_edges(history: &History, evidence: &mut Evidence<'_>) -> Vec<(Id, Edge)> {
    let mut pairs = Vec::with_capacity(evidence.reads.len() * 2);
    let mut add = |from: Option<Id>, to: Option<Id>, key: Key, link: Link| {
        if let (Some(from), Some(to)) = (from, to)
            && from != to
        {
            pairs.push((from, Edge { to, key, link }));
        }
    };
    evidence.unseen.sort_unstable();
    let unseen = |key: Key| {
        let first = evidence.unseen.partition_point(|(other, _)| *other < key);
        let of_key = evidence.unseen.iter().skip(first).take_while(move |(other, _)| *other == key);
        of_key.take(UNSEEN_MAX).map(|(_, writer)| *writer)
    };
    for key in 0..history.keys() {
        let len = history.list(key).len() as u32;
        for at in 1..len {
            add(evidence.writer(key, at - 1), evidence.writer(key, at), key, Link::WriteWrite);
        }
        for writer in unseen(key).filter(|_| len > 0) {
            add(evidence.writer(key, len - 1), Some(writer), key, Link::WriteWrite);
        }
    }
    for &Read { reader, key, len } in &evidence.reads {
        let seen = history.list(key).len() as u32;
        if len > 0 {
            add(evidence.writer(key, len - 1), Some(reader), key, Link::WriteRead);
        }
        add(Some(reader), evidence.writer(key, len), key, Link::ReadWrite);
        if len == seen {
            for writer in unseen(key) {
                add(Some(reader), Some(writer), key, Link::ReadWrite);
            }
        }
    }
    pairs
}

fn connection_edges(history: &History, happened: &[bool], pairs: &mut Vec<(Id, Edge)>) {
    // By client: the last one in the stretch that it sent at once.
    let mut last: HashMap<u32, Id> = HashMap::new();
    for (id, entry) in history.entries() {
        if !entry.behind {
            last.remove(&entry.client);
        }
        if happened[id as usize]
            && let Some(before) = last.insert(entry.client, id)
        {
            pairs.push((before, Edge { to: id, key: 0, link: Link::Connection }));
        }
    }
}

const NONE: u32 = u32::MAX;

struct Tarjan<'g> {
    graph: &'g Graph,
    scope: Scope,
    index: Vec<u32>,
    low: Vec<u32>,
    /// By transaction.
    component: Vec<u32>,
    on_stack: Vec<bool>,
    stack: Vec<u32>,
    /// Nodes that are being visited, and how far.
    path: Vec<(u32, u32)>,
    count: u32,
    found: Vec<Vec<Id>>,
}

impl<'g> Tarjan<'g> {
    fn new(graph: &'g Graph, scope: Scope) -> Self {
        let transactions = graph.transactions();
        let nodes = transactions + if scope.time { graph.starts.len() } else { 0 };
        Self {
            graph,
            scope,
            index: vec![NONE; nodes],
            low: vec![0; nodes],
            component: vec![NONE; transactions],
            on_stack: vec![false; nodes],
            stack: Vec::new(),
            path: Vec::new(),
            count: 0,
            found: Vec::new(),
        }
    }

    fn run(mut self) -> (Vec<Vec<Id>>, Vec<u32>) {
        for root in 0..self.graph.transactions() as u32 {
            if self.index[root as usize] == NONE {
                self.enter(root);
                while let Some((node, cursor)) = self.path.last_mut() {
                    let node = *node;
                    match self.graph.successor(self.scope, node, cursor) {
                        Some(next) => self.look(node, next),
                        None => self.leave(node),
                    }
                }
            }
        }
        (self.found, self.component)
    }

    fn enter(&mut self, node: u32) {
        self.index[node as usize] = self.count;
        self.low[node as usize] = self.count;
        self.count += 1;
        self.stack.push(node);
        self.on_stack[node as usize] = true;
        self.path.push((node, 0));
    }

    fn look(&mut self, node: u32, next: u32) {
        if self.index[next as usize] == NONE {
            self.enter(next);
        } else if self.on_stack[next as usize] {
            self.low[node as usize] = self.low[node as usize].min(self.index[next as usize]);
        }
    }

    fn leave(&mut self, node: u32) {
        self.path.pop();
        let low = self.low[node as usize];
        if let Some((parent, _)) = self.path.last() {
            let parent = &mut self.low[*parent as usize];
            *parent = low.min(*parent);
        }
        if low != self.index[node as usize] {
            return;
        }
        let mut members = Vec::new();
        while let Some(member) = self.stack.pop() {
            self.on_stack[member as usize] = false;
            if (member as usize) < self.component.len() {
                members.push(member);
            }
            if member == node {
                break;
            }
        }
        if members.len() > 1 {
            let number = self.found.len() as u32;
            members.iter().for_each(|member| self.component[*member as usize] = number);
            self.found.push(members);
        }
    }
}

/// Finds shortest ways within one component.
pub(super) struct Part<'g> {
    graph: &'g Graph,
    history: &'g History,
    scope: Scope,
    component: &'g [u32],
    number: u32,
    /// Its transactions, as they began.
    starts: Vec<Id>,
}

/// From one transaction to the next: by a key's list, or by time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hop {
    pub from: Id,
    pub to: Id,
    pub by: Option<(Key, Link)>,
}

impl<'g> Part<'g> {
    pub(super) fn new(
        graph: &'g Graph,
        history: &'g History,
        scope: Scope,
        members: &[Id],
        component: &'g [u32],
        number: u32,
    ) -> Self {
        let mut starts = members.to_vec();
        starts.sort_by_key(|id| history.entry(*id).invoked);
        Self { graph, history, scope, component, number, starts }
    }

    /// The shortest way of at most `hops_max` hops. `effort` is what may still be looked at.
    pub(super) fn way(&self, from: Id, to: Id, hops_max: usize, effort: &mut usize) -> Option<Vec<Hop>> {
        let mut reached: HashMap<Id, Hop> = HashMap::new();
        let mut frontier = vec![from];
        // All that began at this place or behind it have been reached.
        let mut late = self.starts.len();
        for _ in 0..hops_max {
            let mut next = Vec::new();
            for &node in &frontier {
                let mut reach = |hop: Hop| {
                    if hop.to != from && !reached.contains_key(&hop.to) {
                        reached.insert(hop.to, hop);
                        next.push(hop.to);
                    }
                };
                for edge in self.graph.edges(node) {
                    *effort = effort.saturating_sub(1);
                    if self.scope.has(edge.link) && self.component[edge.to as usize] == self.number {
                        reach(Hop { from: node, to: edge.to, by: Some((edge.key, edge.link)) });
                    }
                }
                let completed = self.history.entry(node).completed;
                while self.scope.time
                    && let Some(&last) = late.checked_sub(1).and_then(|at| self.starts.get(at))
                    && self.history.entry(last).invoked > completed
                {
                    *effort = effort.saturating_sub(1);
                    late -= 1;
                    reach(Hop { from: node, to: last, by: None });
                }
            }
            if reached.contains_key(&to) {
                let mut way = Vec::new();
                let mut at = to;
                while let Some(hop) = reached.get(&at) {
                    way.push(*hop);
                    at = hop.from;
                }
                way.reverse();
                return Some(way);
            }
            if next.is_empty() || *effort == 0 {
                return None;
            }
            frontier = next;
        }
        None
    }
}
