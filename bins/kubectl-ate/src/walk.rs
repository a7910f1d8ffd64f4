//! Where a listing stands: how much to ask for next, and whether to go on. Pure: `list` does it.

/// So many answers in a row that lead nowhere are an error of the server.
const STALLS_MAX: u32 = 8;

#[derive(Debug)]
pub struct Walk {
    /// Where the next page begins. What it leads to has not been printed.
    token: String,
    /// Actors that have been printed.
    pub count: u64,
    chunk: i32,
    limit: Option<u64>,
    stalls: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    More,
    /// It did not come on: try again after a pause, of which this is the n-th in a row.
    Wait(u32),
    /// The server leads us in a circle.
    Stalled,
    /// Everything has come.
    Complete,
    /// There is more, but this is as much as the user wants.
    Enough,
}

impl Walk {
    pub fn new(chunk: i32, limit: Option<u64>, token: String) -> Self {
        Self { token, count: 0, chunk, limit, stalls: 0 }
    }

    /// What to ask for.
    pub fn next(&self) -> (i32, String) {
        let left = self.limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.count));
        let size = i32::try_from(left).map_or(self.chunk, |left| left.min(self.chunk));
        (size, self.token.clone())
    }

    /// Where to go on, if there is more and anything has come.
    pub fn token(&self) -> Option<&str> {
        Some(self.token.as_str()).filter(|token| !token.is_empty())
    }

    /// A page of so many has been printed, and the next one begins there.
    pub fn printed(&mut self, count: u64, next: String) -> Step {
        self.count += count;
        self.stalls = if count == 0 && next == self.token { self.stalls + 1 } else { 0 };
        self.token = next;
        if self.token.is_empty() {
            Step::Complete
        } else if self.limit.is_some_and(|limit| self.count >= limit) {
            Step::Enough
        } else if self.stalls > STALLS_MAX {
            Step::Stalled
        } else if self.stalls > 0 {
            Step::Wait(self.stalls)
        } else {
            Step::More
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_page_is_only_as_large_as_what_is_left() {
        let mut walk = Walk::new(500, Some(1200), String::new());
        assert_eq!(walk.next(), (500, String::new()));
        assert_eq!(walk.printed(500, "a".into()), Step::More);
        assert_eq!(walk.printed(500, "b".into()), Step::More);
        assert_eq!(walk.next(), (200, "b".into()));
        assert_eq!(walk.printed(200, "c".into()), Step::Enough);
        assert_eq!(walk.token(), Some("c"));
    }

    #[test]
    fn an_empty_page_with_a_token_is_not_the_end() {
        let mut walk = Walk::new(500, None, String::new());
        assert_eq!(walk.printed(0, "a".into()), Step::More);
        assert_eq!(walk.printed(0, "b".into()), Step::More);
        assert_eq!(walk.printed(0, String::new()), Step::Complete);
        assert_eq!((walk.token(), walk.count), (None, 0));
    }

    #[test]
    fn a_limit_that_is_all_there_is_ends_the_listing() {
        let mut walk = Walk::new(500, Some(10), "a".into());
        assert_eq!(walk.printed(10, String::new()), Step::Complete);
    }

    #[test]
    fn a_server_that_leads_nowhere_is_found_out() {
        let mut walk = Walk::new(500, None, "a".into());
        let steps: Vec<Step> = (0..9).map(|_| walk.printed(0, "a".into())).collect();
        assert_eq!(steps[..8], (1..=8).map(Step::Wait).collect::<Vec<_>>());
        assert_eq!(steps[8], Step::Stalled);
        assert_eq!(walk.printed(1, "a".into()), Step::More, "actors came: that is progress");
    }
}
