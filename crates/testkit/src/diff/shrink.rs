//! Makes a failing sequence short.

/// Every try runs the sequence anew; a good answer soon is better than the best one late.
const TRIES_MAX: usize = 400;

/// Removes parts, big ones first, as long as the rest still fails.
pub(super) fn shrink<T: Clone>(mut steps: Vec<T>, mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut tries = 0;
    let mut size = steps.len() / 2;
    while size > 0 {
        let mut start = 0;
        let mut removed = false;
        while start < steps.len() && tries < TRIES_MAX {
            let end = (start + size).min(steps.len());
            let mut candidate = steps.clone();
            candidate.drain(start..end);
            tries += 1;
            if !candidate.is_empty() && fails(&candidate) {
                steps = candidate;
                removed = true;
            } else {
                start = end;
            }
        }
        if !removed {
            size /= 2;
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_matters_is_left() {
        let fails = |steps: &[i32]| {
            let first = steps.iter().position(|&step| step == 17);
            let second = steps.iter().position(|&step| step == 80);
            matches!((first, second), (Some(first), Some(second)) if first < second)
        };
        assert_eq!(shrink((0..100).collect(), fails), [17, 80]);
    }
}
