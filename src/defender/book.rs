//! What pages of `ListAuditFindings` said of an audit's findings, and what to read next. Pure: no calls, no clock.
//!
//! A [`Book`] is what was read of one check of one audit. A page answers for up to 250 findings, so that a thousand findings cost a
//! worker four calls; but an audit has pages for findings that no worker asks for, and a call saved is worth no more than a call made.
//! So a page must pay:
//!
//! - The first finding of a check is asked for by itself; the second opens the book. Whoever sends messages that name audits at random
//!   has nothing read for them.
//! - The first [`HEAD`] pages are read for whoever asks: all of an audit with 2,000 findings in the check.
//! - After that each finding that is not in the book buys one page more. Whatever the order in which findings come, a book then costs at
//!   most `HEAD` calls more than as many as the single calls that it was to save.
//! - A finding waits for [`EACH`] pages at most, a second at 8 pages a second; then it is asked for by itself.
//!
//! A book is kept for five minutes from its first page: what is suppressed meanwhile is seen within that time. A worker that mends 8
//! findings a second asks for 2,400 of them in five minutes. The book of 100,000 findings has 400 pages, so that, in whatever order they
//! come, it costs at most 400 pages and 400 single calls: a third of 2,400, although it is read anew twelve times an hour. The 1.3 pages
//! a second that this takes leave the rest of the 8/s to the expansion of summaries. (With many workers on such an audit, each asks for
//! fewer and buys fewer.)

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tokio::time::Instant;

/// Pages that are read for whoever asks.
const HEAD: u64 = 8;

/// Pages that one finding waits for.
const EACH: u64 = 8;

/// Findings that must have asked before the first page is read.
const READERS: u64 = 2;

/// No page is asked for so soon after one that failed in a way that may pass.
const REST: Duration = Duration::from_secs(10);

/// A book that nobody asked for so long makes room for another.
const IDLE: Duration = Duration::from_secs(30);

/// How long a finding waits for pages before it is asked for by itself: several times what eight pages take at 8/s, for the whole fleet
/// reads its pages from one budget. Also the longest that a page waits for its slot, and from when on nobody waits for it any more.
pub const PAGE_PATIENCE: Duration = Duration::from_secs(5);

/// How much is kept, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Books.
    pub books: usize,
    /// Findings of all books together, 33 bytes each: 200,000 are 14 MB at most, spare room included.
    pub findings: usize,
    /// From a book's first page.
    pub kept: Duration,
}

/// Device Defender has 17 checks: three audits at a time, and some forged ones.
pub(super) const BOUNDS: Bounds = Bounds { books: 64, findings: 200_000, kept: Duration::from_secs(300) };

/// A finding and all that it says, as 32 bytes: [`crate::finding::Finding::authenticity_digest`].
pub(super) type Digest = [u8; 32];

/// One check of one audit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Title {
    pub task_id: String,
    pub check: String,
}

/// A finding that wants to be known, from its first look at the books to its last.
#[derive(Debug)]
pub(super) struct Asker {
    title: Title,
    digest: Digest,
    /// The book's edition and how many pages it had at the first look.
    met: Option<(u64, u64)>,
}

impl Asker {
    pub fn new(title: Title, digest: Digest) -> Self {
        Self { title, digest, met: None }
    }
}

/// What the books say to a finding.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// Device Defender has it, and it says the same.
    Known { suppressed: bool },
    /// A page is being read that may have it: look again when it is there.
    Wait,
    /// Read this page, then look again.
    Read(Ticket),
    /// Nothing, and nothing more is read for it: ask for it by itself.
    Nothing,
}

/// The right to read one page. Nobody else reads a page of that book until it is added, failed or given back.
#[derive(Debug, PartialEq)]
pub(super) struct Ticket {
    pub title: Title,
    edition: u64,
    /// Where the page begins.
    pub token: Option<String>,
}

/// All that is kept.
#[derive(Debug)]
pub(super) struct Books {
    bounds: Bounds,
    books: BTreeMap<Title, Book>,
    findings: usize,
    editions: u64,
}

#[derive(Debug)]
struct Book {
    /// Tells it from an earlier book of the same title.
    edition: u64,
    /// When the first page was asked for, or when it was opened.
    since: Instant,
    asked_at: Instant,
    /// Findings that asked.
    readers: u64,
    /// Those of them that were not in it.
    strangers: u64,
    pages: u64,
    /// Whether each finding is suppressed.
    findings: HashMap<Digest, bool>,
    reading: Reading,
}

#[derive(Debug)]
enum Reading {
    /// The next page begins here.
    Next(Option<String>),
    /// Somebody has the ticket.
    UnderWay { since: Instant },
    /// As `Next`, but not before then.
    Resting { until: Instant, token: Option<String> },
    /// It is read to its end, or as far as it will be.
    Over,
}

impl Books {
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, books: BTreeMap::new(), findings: 0, editions: 0 }
    }

    /// What the books say to a finding `now`.
    pub fn ask(&mut self, asker: &mut Asker, now: Instant) -> Answer {
        if asker.met.is_none() {
            self.open(&asker.title, now);
        }
        let Some(book) = self.books.get_mut(&asker.title) else { return Answer::Nothing };
        book.asked_at = now;
        let known = book.findings.get(&asker.digest).copied();
        let (edition, pages) = *asker.met.get_or_insert_with(|| {
            book.readers += 1;
            book.strangers += u64::from(known.is_none());
            (book.edition, book.pages)
        });
        if let Some(suppressed) = known {
            return Answer::Known { suppressed };
        }
        let pays = book.readers >= READERS && book.pages < HEAD + book.strangers;
        if !pays || book.edition != edition || book.pages >= pages + EACH {
            return Answer::Nothing;
        }
        let token = match &mut book.reading {
            Reading::Next(token) => token.take(),
            Reading::Resting { until, token } if *until <= now => token.take(),
            Reading::UnderWay { since } if now - *since < PAGE_PATIENCE => return Answer::Wait,
            Reading::UnderWay { .. } | Reading::Resting { .. } | Reading::Over => return Answer::Nothing,
        };
        book.reading = Reading::UnderWay { since: now };
        if book.pages == 0 {
            book.since = now;
        }
        Answer::Read(Ticket { title: asker.title.clone(), edition, token })
    }

    /// A book of that title, new if there is none or its time is over.
    fn open(&mut self, title: &Title, now: Instant) {
        let kept = self.bounds.kept;
        let over = |book: &Book| now - book.since >= kept;
        if self.books.get(title).is_some_and(|book| !over(book)) {
            return;
        }
        self.books.retain(|_, book| !over(book));
        self.count();
        while self.books.len() >= self.bounds.books {
            let oldest = self.books.iter().min_by_key(|(_, book)| book.asked_at).map(|(title, _)| title.clone());
            let Some(oldest) = oldest else { return };
            self.close(&oldest);
        }
        self.editions += 1;
        let book = Book {
            edition: self.editions,
            since: now,
            asked_at: now,
            readers: 0,
            strangers: 0,
            pages: 0,
            findings: HashMap::new(),
            reading: Reading::Next(None),
        };
        self.books.insert(title.clone(), book);
    }

    fn close(&mut self, title: &Title) {
        if let Some(book) = self.books.remove(title) {
            self.findings -= book.findings.len();
        }
    }

    fn count(&mut self) {
        self.findings = self.books.values().map(|book| book.findings.len()).sum();
    }

    /// The page was read: its findings and whether each is suppressed, and where the next page begins. If there is no room for it, the
    /// book ends before it.
    pub fn add(&mut self, ticket: &Ticket, page: &[(Digest, bool)], next: Option<String>, now: Instant) {
        let fits = self.make_room(page.len(), &ticket.title, now);
        let Some(book) = self.current(ticket) else { return };
        book.pages += 1;
        book.reading = match next {
            Some(token) if fits => Reading::Next(Some(token)),
            _ => Reading::Over,
        };
        if fits {
            let before = book.findings.len();
            book.findings.extend(page.iter().copied());
            self.findings += self.books.get(&ticket.title).map_or(0, |book| book.findings.len()) - before;
        }
    }

    /// The page could not be read. What may pass is tried again after a rest; anything else ends the book.
    pub fn fail(&mut self, ticket: &Ticket, may_pass: bool, now: Instant) {
        if let Some(book) = self.current(ticket) {
            let token = ticket.token.clone();
            book.reading = if may_pass { Reading::Resting { until: now + REST, token } } else { Reading::Over };
        }
    }

    /// Whoever had the ticket is gone: somebody else may read the page.
    pub fn give_back(&mut self, ticket: Ticket) {
        if let Some(book) = self.current(&ticket) {
            book.reading = Reading::Next(ticket.token);
        }
    }

    fn current(&mut self, ticket: &Ticket) -> Option<&mut Book> {
        self.books.get_mut(&ticket.title).filter(|book| book.edition == ticket.edition)
    }

    /// Closes books that nobody has asked for a while, the longest first, until there is room. Those in use stay: two that take turns in
    /// pushing each other out would be read from their first page over and over again.
    fn make_room(&mut self, n: usize, except: &Title, now: Instant) -> bool {
        while self.findings + n > self.bounds.findings {
            let idle = self
                .books
                .iter()
                .filter(|(title, book)| *title != except && !book.findings.is_empty() && now - book.asked_at >= IDLE);
            let Some(title) = idle.min_by_key(|(_, book)| book.asked_at).map(|(title, _)| title.clone()) else {
                return false;
            };
            self.close(&title);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn title(task: u64) -> Title {
        Title { task_id: format!("audit-{task}"), check: "CHECK".to_owned() }
    }

    fn digest(n: u64) -> Digest {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&n.to_be_bytes());
        digest
    }

    fn asker(task: u64, n: u64) -> Asker {
        Asker::new(title(task), digest(n))
    }

    /// Pages of one audit with so many findings in it, `size` a page; the token is the number of the first.
    struct Audit {
        findings: u64,
        size: u64,
    }

    impl Audit {
        fn read(&self, books: &mut Books, ticket: &Ticket, now: Instant) {
            let from: u64 = ticket.token.as_ref().map_or(0, |token| token.parse().unwrap());
            let to = (from + self.size).min(self.findings);
            let page: Vec<_> = (from..to).map(|n| (digest(n), n % 10 == 3)).collect();
            books.add(ticket, &page, (to < self.findings).then(|| to.to_string()), now);
        }

        /// Asks for one finding to the end; whether it is known, and the pages that were read for it.
        fn ask(&self, books: &mut Books, task: u64, n: u64, now: Instant) -> (Option<bool>, u64) {
            let (mut asker, mut pages) = (asker(task, n), 0);
            loop {
                match books.ask(&mut asker, now) {
                    Answer::Known { suppressed } => return (Some(suppressed), pages),
                    Answer::Nothing => return (None, pages),
                    Answer::Read(ticket) => {
                        pages += 1;
                        self.read(books, &ticket, now);
                    }
                    Answer::Wait => panic!("nobody reads"),
                }
            }
        }
    }

    fn bounds(books: usize, findings: usize) -> Books {
        Books::new(Bounds { books, findings, ..BOUNDS })
    }

    /// A book that was asked for once, so that the next asker may read.
    fn opened(now: Instant) -> Books {
        let mut books = Books::new(BOUNDS);
        assert_eq!(books.ask(&mut asker(1, 0), now), Answer::Nothing, "one finding is asked for by itself");
        books
    }

    #[test]
    fn a_thousand_findings_of_an_audit_cost_one_single_call_and_four_pages() {
        let (now, audit) = (Instant::now(), Audit { findings: 1_000, size: 250 });
        let mut books = Books::new(BOUNDS);
        let answers: Vec<_> = (0..1_000).rev().map(|n| (n, audit.ask(&mut books, 1, n, now))).collect();
        assert_eq!(answers.iter().map(|(_, (_, pages))| pages).sum::<u64>(), 4);
        assert_eq!(answers.iter().filter(|(_, (known, _))| known.is_none()).count(), 1);
        for (n, (known, _)) in &answers[1..] {
            assert_eq!(*known, Some(n % 10 == 3), "{n}");
        }
    }

    #[test]
    fn one_reads_a_page_and_the_others_wait_for_it_and_then_the_next_one_reads() {
        let (now, audit) = (Instant::now(), Audit { findings: 30, size: 10 });
        let mut books = opened(now);
        let (mut first, mut second, mut third) = (asker(1, 5), asker(1, 6), asker(1, 25));
        let Answer::Read(ticket) = books.ask(&mut first, now) else { panic!("the first reads") };
        assert_eq!(books.ask(&mut second, now), Answer::Wait);
        assert_eq!(books.ask(&mut third, now), Answer::Wait);
        audit.read(&mut books, &ticket, now);
        assert_eq!(books.ask(&mut first, now), Answer::Known { suppressed: false });
        assert_eq!(books.ask(&mut second, now), Answer::Known { suppressed: false });
        let Answer::Read(ticket) = books.ask(&mut third, now) else { panic!("it is on a later page") };
        assert_eq!(ticket.token.as_deref(), Some("10"));
    }

    #[test]
    fn a_reader_that_is_gone_strands_nobody() {
        let now = Instant::now();
        let mut books = opened(now);
        let Answer::Read(ticket) = books.ask(&mut asker(1, 1), now) else { panic!("the first reads") };
        let mut second = asker(1, 2);
        assert_eq!(books.ask(&mut second, now), Answer::Wait);
        books.give_back(ticket);
        assert!(matches!(books.ask(&mut second, now), Answer::Read(Ticket { token: None, .. })));
    }

    #[test]
    fn a_finding_waits_for_eight_pages_and_each_that_is_not_there_buys_one_more() {
        let (now, audit) = (Instant::now(), Audit { findings: 100_000, size: 250 });
        let mut books = opened(now);
        assert_eq!(audit.ask(&mut books, 1, 99_999, now), (None, EACH));
        assert_eq!(
            audit.ask(&mut books, 1, 99_999, now),
            (None, 3),
            "that of the one that opened the book, and of the last two"
        );
        assert_eq!(audit.ask(&mut books, 1, 99_999, now), (None, 1));
        assert_eq!(audit.ask(&mut books, 1, 2_999, now), (Some(false), 0));
    }

    #[test]
    fn after_its_time_a_book_is_read_anew_and_a_page_that_comes_late_is_not_added_to_it() {
        let (now, audit) = (Instant::now(), Audit { findings: 100, size: 10 });
        let mut books = opened(now);
        let Answer::Read(late) = books.ask(&mut asker(1, 1), now) else { panic!("the first reads") };
        let mut patient = asker(1, 2);
        assert_eq!(books.ask(&mut patient, now), Answer::Wait);
        let later = now + BOUNDS.kept;
        assert_eq!(books.ask(&mut asker(1, 0), later), Answer::Nothing, "a new book");
        audit.read(&mut books, &late, later);
        assert_eq!(books.ask(&mut patient, later), Answer::Nothing, "it was asked for in the old book");
        assert_eq!(audit.ask(&mut books, 1, 1, later), (Some(false), 1));
    }

    #[test]
    fn the_time_of_a_book_begins_with_its_first_page() {
        let (now, audit) = (Instant::now(), Audit { findings: 10, size: 10 });
        let mut books = opened(now);
        let read = now + BOUNDS.kept / 2;
        assert_eq!(audit.ask(&mut books, 1, 1, read), (Some(false), 1));
        assert_eq!(audit.ask(&mut books, 1, 1, now + BOUNDS.kept), (Some(false), 0));
        assert_eq!(audit.ask(&mut books, 1, 1, read + BOUNDS.kept), (None, 0));
    }

    #[test]
    fn a_page_that_failed_is_tried_again_after_a_rest_if_that_may_help_and_else_not_before_the_book_is_over() {
        for (may_pass, again_after) in [(true, REST), (false, BOUNDS.kept)] {
            let (now, audit) = (Instant::now(), Audit { findings: 30, size: 10 });
            let mut books = opened(now);
            assert_eq!(audit.ask(&mut books, 1, 1, now), (Some(false), 1));
            let Answer::Read(ticket) = books.ask(&mut asker(1, 25), now) else { panic!("there are more") };
            books.fail(&ticket, may_pass, now);
            assert_eq!(audit.ask(&mut books, 1, 2, now), (Some(false), 0), "what was read before is still known");
            let shortly_before = now + again_after - Duration::from_millis(1);
            assert_eq!(audit.ask(&mut books, 1, 25, shortly_before), (None, 0));
            audit.ask(&mut books, 1, 25, now + again_after);
            assert_eq!(audit.ask(&mut books, 1, 25, now + again_after).0, Some(false));
        }
    }

    #[test]
    fn a_full_shelf_ends_the_book_that_grows_unless_another_has_been_idle() {
        let (now, audit) = (Instant::now(), Audit { findings: 40, size: 10 });
        let mut books = bounds(8, 30);
        for task in [1, 2] {
            books.ask(&mut asker(task, 0), now);
        }
        assert_eq!(audit.ask(&mut books, 1, 19, now), (Some(false), 2));
        assert_eq!(audit.ask(&mut books, 2, 19, now), (None, 2), "the second page has no room");
        assert_eq!(audit.ask(&mut books, 2, 9, now), (Some(false), 0));
        assert_eq!(audit.ask(&mut books, 2, 39, now), (None, 0), "it ends there");

        let later = now + IDLE;
        books.ask(&mut asker(3, 0), later);
        assert_eq!(audit.ask(&mut books, 3, 29, later), (Some(false), 3), "the idle ones made room");
        assert_eq!(audit.ask(&mut books, 1, 19, later), (None, 0));
    }

    #[test]
    fn audits_that_are_made_up_push_out_each_other_and_not_the_one_in_use() {
        let (now, audit) = (Instant::now(), Audit { findings: 10, size: 10 });
        let mut books = opened(now);
        assert_eq!(audit.ask(&mut books, 1, 1, now), (Some(false), 1));
        for forged in 100..10_000 {
            let at = now + Duration::from_millis(forged);
            assert_eq!(audit.ask(&mut books, forged, 1, at), (None, 0), "nothing is read for it");
            assert_eq!(audit.ask(&mut books, 1, 1, at), (Some(false), 0));
            assert!(books.books.len() <= BOUNDS.books);
        }
    }

    proptest! {
        /// Whatever is asked, read, failed or dropped in whatever order: the bounds hold, what is said was on a page, and no more calls
        /// are made than the single calls that were to be saved, but for the first pages of each book.
        #[test]
        fn the_bounds_hold_and_nothing_is_made_up(
            events in proptest::collection::vec((0..6_u64, 0..60_u64, 0..5_u8, 0..40_u64), 1..300),
        ) {
            let audit = Audit { findings: 50, size: 7 };
            let mut books = bounds(4, 90);
            let (mut now, mut asks, mut pages) = (Instant::now(), 0, 0);
            let mut titles = BTreeSet::new();
            for (task, n, fate, seconds) in events {
                now += Duration::from_secs(seconds);
                asks += 1;
                let mut asker = asker(task, n);
                loop {
                    match books.ask(&mut asker, now) {
                        Answer::Known { suppressed } => {
                            prop_assert!(n < audit.findings && suppressed == (n % 10 == 3));
                            break;
                        }
                        Answer::Nothing => break,
                        Answer::Wait => prop_assert!(false, "nobody reads"),
                        Answer::Read(ticket) => {
                            titles.insert(ticket.edition);
                            pages += 1;
                            match fate {
                                0 => books.fail(&ticket, false, now),
                                1 => books.fail(&ticket, true, now),
                                2 if n % 2 == 0 => { books.give_back(ticket); break; }
                                _ => audit.read(&mut books, &ticket, now),
                            }
                        }
                    }
                }
                prop_assert!(books.books.len() <= 4);
                let kept: usize = books.books.values().map(|book| book.findings.len()).sum();
                prop_assert!(kept <= 90 && kept == books.findings);
            }
            let heads = titles.len() as u64 * HEAD;
            prop_assert!(pages <= asks + heads, "{pages} pages for {asks} findings");
        }
    }
}
