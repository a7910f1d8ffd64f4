//! Pages and their tokens.

use super::*;
use std::collections::BTreeSet;

const INVALID: Code = Code::InvalidArgument;

/// Letters of a token, in the order of what they mean.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A token with one letter replaced by the one that is so much further.
fn changed(token: &str, at: usize, by: usize) -> String {
    let mut letters = token.as_bytes().to_vec();
    let place = LETTERS.iter().position(|letter| *letter == letters[at]).unwrap();
    letters[at] = LETTERS[(place + by) % LETTERS.len()];
    String::from_utf8(letters).unwrap()
}

async fn token_of(client: &mut Control, atespace: &str) -> String {
    client.list_actors(page(5, "", atespace)).await.unwrap().into_inner().next_page_token
}

#[test]
fn tokens_that_were_changed_are_refused() {
    let (store, api) = one();
    fill(&store, "team", "a", 100);
    runtime().block_on(async {
        let mut client = api.client().unwrap();
        let token = token_of(&mut client, "").await;
        for at in 7..token.len() {
            // The last letter may have bits that mean nothing: they must be 0, and a token is damaged otherwise.
            let part = if at == token.len() - 1 { "page_token" } else { "page_token was changed" };
            is(client.list_actors(page(5, &changed(&token, at, 1), "")).await, INVALID, part);
        }
        for len in 1..token.len() {
            is(client.list_actors(page(5, &token[..len], "")).await, INVALID, "page_token ");
        }
        for (bad, part) in [
            ("forged".to_owned(), "page_token"),
            ("not base64!".to_owned(), "page_token is damaged"),
            (format!("{token}="), "page_token is damaged"),
            (format!("{token}AAAA"), "page_token was changed"),
            (token.repeat(500), "page_token is longer than any"),
            // The second letter has the lower bits of the version.
            (changed(&token, 1, 16), "page_token is of version 2"),
            (changed(&token, 1, 48), "page_token is of version 0"),
        ] {
            is(client.list_actors(page(5, &bad, "")).await, INVALID, part);
        }
        assert_eq!(list_from(&mut client, 5, &token, "").await.len(), 95, "the token itself goes on");
    });
}

#[test]
fn tokens_belong_to_an_atespace_and_to_a_key() {
    let (store, api) = one();
    fill(&store, "team", "a", 20);
    fill(&store, "other", "b", 20);
    let mine = Api::over(&store.seeds(), &["--token-key", &"17".repeat(32)]).unwrap();
    let replica = Api::over(&store.seeds(), &[]).unwrap();
    runtime().block_on(async {
        let mut client = api.client().unwrap();
        let (team, all) = (token_of(&mut client, "team").await, token_of(&mut client, "").await);
        is(
            client.list_actors(page(5, &team, "other")).await,
            INVALID,
            "'team', and this one is of atespace 'other'",
        );
        is(client.list_actors(page(5, &team, "")).await, INVALID, "'team', and this one is of all atespaces");
        is(client.list_actors(page(5, &all, "team")).await, INVALID, "a listing of all atespaces");
        let mut other = mine.client().unwrap();
        is(other.list_actors(page(5, &team, "team")).await, INVALID, "a key that this service does not have");
        let foreign = token_of(&mut other, "team").await;
        is(
            client.list_actors(page(5, &foreign, "team")).await,
            INVALID,
            "a key that this service does not have",
        );
        // Another process that shares the key takes it, whether or not it has listed anything itself.
        assert_eq!(list_from(&mut replica.client().unwrap(), 7, &team, "team").await.len(), 15);
        assert_eq!(api.metric("ateapi_listing_refused_tokens_total").unwrap(), 4);
    });
}

#[test]
fn pages_are_as_large_as_they_may_be() {
    let (store, api) = one();
    fill(&store, "team", "a", 2500);
    runtime().block_on(async {
        let mut client = api.client().unwrap();
        let negative = client.list_actors(page(-1, "", "")).await;
        is(negative, INVALID, "page_size must not be negative");
        is(client.list_actors(page(i32::MIN, "", "")).await, INVALID, "page_size");
        for (asked, expected) in [(0, 100), (1, 1), (7, 7), (1000, 1000), (1001, 1000), (i32::MAX, 1000)] {
            let found = client.list_actors(page(asked, "", "")).await.unwrap().into_inner();
            assert_eq!(found.actors.len(), expected, "asked for {asked}");
        }
        // Another size each time, and all come.
        let (mut names, mut token, mut size) = (BTreeSet::new(), String::new(), 1);
        loop {
            let found = client.list_actors(page(size, &token, "")).await.unwrap().into_inner();
            assert!(found.actors.len() <= size.unsigned_abs() as usize);
            names.extend(found.actors.into_iter().map(|actor| actor.actor_id));
            (token, size) = (found.next_page_token, size * 3 % 1000 + 1);
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(names.len(), 2500);
    });
}

#[test]
fn an_atespace_that_does_not_exist_is_not_found() {
    let (store, api) = one();
    fill(&store, "team", "a", 10);
    runtime().block_on(async {
        let mut client = api.client().unwrap();
        is(client.list_actors(page(5, "", "taem")).await, Code::NotFound, "there is no atespace 'taem'");
        is(client.list_actors(page(5, "", "Team")).await, INVALID, "atespace must be a DNS-1123 label");
        client.create_atespace(atespace("empty")).await.unwrap();
        assert_eq!(list_from(&mut client, 5, "", "empty").await.len(), 0);
        // Written by others, who keep no atespaces: what is there is listed.
        assert_eq!(list_from(&mut client, 5, "", "team").await.len(), 10);
    });
}
