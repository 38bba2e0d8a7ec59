//! Who may read what of a flight, in which order, and who stops it.

use super::waiter::Broken;
use super::*;
use crate::config::Scheme;
use crate::policy::encoding::{Coding, Representations};
use crate::policy::key::KeyUri;
use crate::policy::{Fields, Lifetime, Timestamp, Validators};

fn key() -> Key {
    Key::of(KeyUri { scheme: Scheme::Http, host: "a", path: "/p", query: None })
}

fn head(kind: HeadKind) -> Arc<Head> {
    Arc::new(Head {
        status: StatusCode::OK,
        fields: Fields::new(),
        for_starter: None,
        coding: Coding::Identity,
        why: None,
        length: None,
        kind,
        selecting: Box::default(),
        unkeyed_vary: Box::default(),
        born: None,
    })
}

const BODY: Bytes = Bytes::from_static(b"ab");

fn page() -> Arc<Page> {
    let now = Timestamp::from_millis(1);
    Arc::new(Page {
        key: key(),
        status: StatusCode::OK,
        fields: Fields::new(),
        representations: Representations::only(Coding::Identity, None, BODY),
        lifetime: Lifetime {
            born: now,
            fresh_until: now,
            while_revalidate_until: now,
            if_error_until: now,
            has_ttl: true,
        },
        origin_validators: Validators::default(),
        tags: Box::default(),
        purge_seq: PurgeSeq(0),
        purge_memo: crate::policy::PurgeMemo::default(),
        selecting: Box::default(),
        unkeyed_vary: Box::default(),
    })
}

fn flight() -> Arc<Flight> {
    Flight::new(key(), PurgeSeq(0))
}

async fn read(waiter: &mut Waiter) -> Result<Vec<u8>, Broken> {
    let mut body = Vec::new();
    while let Some(chunk) = waiter.chunk().await? {
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[tokio::test]
async fn interim_answers_are_for_the_starter_and_end_with_the_head() {
    // In order and before the head; whoever joined hears of none, and they do not pile up.
    let flight = flight();
    let (mut starter, mut follower) = (flight.start(), flight.join());
    let hints = || Informational { status: StatusCode::EARLY_HINTS, fields: Fields::new() };
    for _ in 0..MAX_INTERIM + 5 {
        flight.interim(hints());
    }
    flight.tell_head(head(HeadKind::Storable));
    for _ in 0..MAX_INTERIM {
        assert_eq!(starter.interim().await, Some(hints()));
    }
    assert_eq!(starter.interim().await, None);
    assert_eq!(follower.interim().await, None);
}

#[tokio::test]
async fn the_starter_streams_where_the_page_lacks_fields_that_were_for_it() {
    // Others get the page that has landed.
    let flight = flight();
    let (mut starter, mut follower) = (flight.start(), flight.join());
    let mut own = Arc::into_inner(head(HeadKind::Storable)).expect("nobody else holds it");
    own.for_starter = Some(Fields::new());
    flight.tell_head(Arc::new(own));
    flight.push(Bytes::from_static(b"ab")).await;
    flight.land(page(), BODY);
    assert!(matches!(starter.told().await, Told::Stream(head) if head.for_starter.is_some()));
    assert_eq!(read(&mut starter).await.expect("a whole body"), b"ab");
    assert!(matches!(follower.told().await, Told::Page(_)));
}

#[tokio::test]
async fn every_waiter_reads_the_whole_body_whenever_it_joined() {
    let flight = flight();
    let mut first = flight.start();
    let mut second = flight.join();
    flight.tell_head(head(HeadKind::Storable));
    assert!(matches!(first.told().await, Told::Stream(_)));
    assert_eq!(flight.push(Bytes::from_static(b"a")).await, Push::Wanted);
    assert_eq!(first.chunk().await.expect("whole").as_deref(), Some(&b"a"[..]));
    let mut late = flight.join();
    assert!(matches!(late.told().await, Told::Stream(_)));
    assert!(matches!(second.told().await, Told::Stream(_)));
    assert_eq!(flight.push(Bytes::from_static(b"b")).await, Push::Wanted);
    flight.land(page(), BODY);
    assert_eq!(read(&mut first).await.expect("whole"), b"b");
    assert_eq!(read(&mut second).await.expect("whole"), b"ab");
    assert_eq!(read(&mut late).await.expect("whole"), b"ab");
    assert!(matches!(flight.join().told().await, Told::Page(_)));
}

#[tokio::test]
async fn a_waiter_that_leaves_stops_nothing() {
    let flight = flight();
    drop(flight.start());
    flight.tell_head(head(HeadKind::Storable));
    assert_eq!(flight.push(Bytes::from_static(b"ab")).await, Push::Wanted);
    let mut waiter = flight.join();
    assert!(matches!(waiter.told().await, Told::Stream(_)));
    flight.land(page(), BODY);
    assert_eq!(read(&mut waiter).await.expect("whole"), b"ab");
}

#[tokio::test]
async fn a_private_answer_reaches_the_starter_alone() {
    let flight = flight();
    let mut follower = flight.join();
    let mut starter = flight.start();
    assert_eq!(flight.tell_starter(head(HeadKind::Private), 1024), Push::Wanted);
    assert!(matches!(follower.told().await, Told::AskYourself(BypassDetail::Uncacheable)));
    assert!(matches!(starter.told().await, Told::Stream(_)));
    assert_eq!(flight.push(Bytes::from_static(b"secret")).await, Push::Wanted);
    flight.end();
    assert_eq!(read(&mut starter).await.expect("whole"), b"secret");
    assert!(matches!(flight.join().told().await, Told::AskYourself(_)));
}

#[tokio::test]
async fn a_private_answer_whose_starter_has_gone_is_abandoned() {
    let flight = flight();
    drop(flight.start());
    let mut follower = flight.join();
    assert_eq!(flight.tell_starter(head(HeadKind::Private), 1024), Push::Abandoned);
    assert!(matches!(follower.told().await, Told::AskYourself(_)));
}

#[tokio::test]
async fn a_pipe_waits_for_its_reader_and_stops_when_it_leaves() {
    let flight = flight();
    let mut starter = flight.start();
    assert_eq!(flight.tell_starter(head(HeadKind::Private), PIPE_AHEAD), Push::Wanted);
    assert!(matches!(starter.told().await, Told::Stream(_)));
    let piece = Bytes::from(vec![7; PIPE_AHEAD]);
    let pushing = {
        let flight = Arc::clone(&flight);
        let piece = piece.clone();
        tokio::spawn(async move { (flight.push(piece.clone()).await, flight.push(piece).await) })
    };
    assert_eq!(starter.chunk().await.expect("whole").map(|chunk| chunk.len()), Some(piece.len()));
    drop(starter);
    assert_eq!(pushing.await.expect("joined"), (Push::Wanted, Push::Abandoned));
}

#[tokio::test]
async fn a_reader_that_falls_out_of_a_pipes_window_is_told_that_the_body_is_not_whole() {
    let flight = flight();
    let mut fast = flight.start();
    let mut slow = flight.join();
    flight.tell_head(head(HeadKind::Storable));
    assert!(matches!(fast.told().await, Told::Stream(_)));
    assert!(matches!(slow.told().await, Told::Stream(_)));
    assert_eq!(flight.become_pipe(10), Push::Wanted);
    for _ in 0..3 {
        assert_eq!(flight.push(Bytes::from_static(b"0123456789")).await, Push::Wanted);
        assert!(fast.chunk().await.is_ok());
    }
    assert!(slow.chunk().await.is_err());
    assert!(matches!(flight.join().told().await, Told::AskYourself(_)));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_never_taken_for_whole() {
    let flight = flight();
    let mut waiter = flight.start();
    flight.tell_head(head(HeadKind::Storable));
    assert!(matches!(waiter.told().await, Told::Stream(_)));
    flight.push(Bytes::from_static(b"a")).await;
    flight.break_off();
    assert!(read(&mut waiter).await.is_err());
}

#[tokio::test]
async fn a_request_for_the_whole_page_waits_for_its_end() {
    let flight = flight();
    let mut waiter = flight.start();
    flight.tell_head(head(HeadKind::Storable));
    let waiting = tokio::spawn(async move { waiter.whole().await });
    flight.push(Bytes::from_static(b"ab")).await;
    assert!(!waiting.is_finished());
    flight.land(page(), BODY);
    assert!(matches!(waiting.await.expect("joined"), Told::Page(_)));
}

#[test]
fn a_flight_takes_a_newer_sequence_until_it_asks() {
    let flight = flight();
    assert!(flight.catch_up(PurgeSeq(3)));
    assert_eq!(flight.purge_seq(), PurgeSeq(3));
    flight.ask(|| PurgeSeq(4));
    assert!(!flight.catch_up(PurgeSeq(5)));
    assert_eq!(flight.purge_seq(), PurgeSeq(4));
}
