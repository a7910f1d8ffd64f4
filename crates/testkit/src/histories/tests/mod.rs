//! The checker finds what it must and nothing else: in histories written by hand, in random ones of which one
//! thing was changed, and in those of real servers.

mod mutations;
mod planted;
mod random;
mod servers;
