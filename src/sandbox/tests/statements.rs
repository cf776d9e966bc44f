//! PartiQL.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::{
    AttributeValue, BatchStatementErrorCodeEnum as Code, BatchStatementRequest, BatchStatementResponse,
    ReturnValuesOnConditionCheckFailure as OnFailure,
};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{World, code, number, text, world};

/// Statements that race for one item, and how often.
const WRITERS: usize = 24;
const ROUNDS: usize = 10;

fn statement<const N: usize>(statement: &str, parameters: [AttributeValue; N]) -> BatchStatementRequest {
    let parameters = (N > 0).then(|| parameters.to_vec());
    BatchStatementRequest::builder().statement(statement).set_parameters(parameters).build().unwrap()
}

fn telling<const N: usize>(written: &str, parameters: [AttributeValue; N]) -> BatchStatementRequest {
    let told = statement(written, parameters);
    BatchStatementRequest::builder()
        .statement(told.statement())
        .set_parameters(told.parameters.clone())
        .return_values_on_condition_check_failure(OnFailure::AllOld)
        .build()
        .unwrap()
}

impl World {
    async fn batch(&self, statements: Vec<BatchStatementRequest>) -> Vec<BatchStatementResponse> {
        let batch = self.dynamodb.batch_execute_statement().set_statements(Some(statements));
        batch.send().await.unwrap().responses.unwrap_or_default()
    }

    async fn one(&self, statement: BatchStatementRequest) -> BatchStatementResponse {
        self.batch(vec![statement]).await.remove(0)
    }

    async fn item(&self, id: &str) -> Option<HashMap<String, AttributeValue>> {
        let get = self.dynamodb.get_item().table_name("ledger").key("id", text(id)).consistent_read(true);
        get.send().await.unwrap().item
    }
}

fn error_code(response: &BatchStatementResponse) -> Option<&Code> {
    response.error.as_ref().and_then(|error| error.code.as_ref())
}

#[tokio::test]
async fn an_insert_of_a_new_key_succeeds_and_of_a_known_one_is_a_duplicate_that_brings_the_item_only_if_asked() {
    let world = world().await;
    world.ledger().await;
    let insert =
        "INSERT INTO \"ledger\" VALUE {'id': ?, 'owner': ?, 'epoch': 1, 'steps': [], 'finding': {'a': [1, 'b', null]}}";
    let first = world.one(statement(insert, [text("f1"), text("w1")])).await;
    assert_eq!(first.table_name(), Some("ledger"));
    assert!(first.error.is_none() && first.item.is_none(), "{first:?}");

    let silent = world.one(statement(insert, [text("f1"), text("w2")])).await;
    assert_eq!(error_code(&silent), Some(&Code::DuplicateItem));
    assert!(silent.error.unwrap().item.is_none());

    let told = world.one(telling(insert, [text("f1"), text("w2")])).await;
    assert_eq!(error_code(&told), Some(&Code::DuplicateItem));
    assert_eq!(told.error.unwrap().item.unwrap()["owner"], text("w1"));
    assert_eq!(world.item("f1").await.unwrap()["owner"], text("w1"));
}

#[tokio::test]
async fn one_bad_statement_harms_no_other_of_its_batch() {
    let world = world().await;
    world.ledger().await;
    let insert = "INSERT INTO \"ledger\" VALUE {'id': ?}";
    world.one(statement(insert, [text("known")])).await;
    let responses = world
        .batch(vec![
            statement(insert, [text("known")]),
            statement(insert, [text("new")]),
            statement("INSERT INTO \"elsewhere\" VALUE {'id': 'x'}", []),
            statement("INSERT INTO \"ledger\" VALUE {'ID': 'x'}", []),
            statement("INSERT INTO ledger VALUE", []),
            statement("UPDATE \"ledger\" SET a = 1 WHERE id = 'absent'", []),
            statement("DELETE FROM \"ledger\" WHERE epoch = 1", []),
            statement(insert, [text("a"), text("b")]),
        ])
        .await;
    let codes: Vec<Option<&Code>> = responses.iter().map(error_code).collect();
    assert_eq!(
        codes,
        [
            Some(&Code::DuplicateItem),
            None,
            Some(&Code::ResourceNotFound),
            Some(&Code::ValidationError),
            Some(&Code::ValidationError),
            Some(&Code::ConditionalCheckFailed),
            Some(&Code::ValidationError),
            Some(&Code::ValidationError),
        ]
    );
    assert!(world.item("new").await.is_some());
    assert!(world.item("absent").await.is_none());
}

#[tokio::test]
async fn an_update_is_conditional_on_everything_its_where_clause_says() {
    let world = world().await;
    world.ledger().await;
    world.one(statement("INSERT INTO \"ledger\" VALUE {'id': 'f', 'owner': 'w1', 'epoch': 3, 'until': 50, 'steps': ['s1'], 'gone': 1}", [])).await;
    let holds = [
        "epoch = 3",
        "epoch <> 4 AND until < 51 AND until <= 50 AND until > 49 AND until >= 50",
        "(epoch = 9 OR (owner = 'w1' AND NOT epoch = 9))",
        "until BETWEEN 1 AND 50",
        "owner IN ['w0', 'w1']",
        "owner IN ('w1') AND epoch NOT IN [1, 2]",
        "gone IS NOT MISSING AND absent IS MISSING",
        "attribute_exists(owner) AND attribute_not_exists(absent)",
        "begins_with(owner, 'w') AND contains(steps, 's1') AND size(steps) = 1",
    ];
    let fails = [
        "epoch = 4",
        "until > 50",
        "NOT epoch = 3",
        "until BETWEEN 51 AND 60",
        "owner IN ['w2']",
        "gone IS MISSING",
        "begins_with(owner, 'x')",
        "epoch = 3 AND (owner = 'w2' OR until = 0)",
    ];
    for (condition, expected) in
        holds.iter().map(|c| (c, None)).chain(fails.iter().map(|c| (c, Some(&Code::ConditionalCheckFailed))))
    {
        let update = format!("UPDATE \"ledger\" SET touched = ? WHERE id = ? AND {condition}");
        let response = world.one(telling(&update, [number(1), text("f")])).await;
        assert_eq!(error_code(&response), expected, "{condition}: {response:?}");
        if let Some(error) = response.error {
            assert_eq!(error.item.unwrap()["owner"], text("w1"), "{condition}");
        }
    }
}

#[tokio::test]
async fn an_update_sets_adds_appends_removes_and_returns_what_is_asked() {
    let world = world().await;
    world.ledger().await;
    world.one(statement("INSERT INTO \"ledger\" VALUE {'id': 'f', 'epoch': 1, 'steps': ['a'], 'gone': 1, 'deep': {'x': [1, 2]}, 'tags': <<'a'>>}", [])).await;
    let update = "UPDATE \"ledger\" SET epoch = epoch + ?, steps = list_append(steps, ?) SET deep.x[1] = 9 SET tags = set_add(tags, <<'b'>>) \
                  SET \"status\" = 'done' REMOVE gone WHERE id = 'f' RETURNING ALL NEW *";
    let response = world.one(statement(update, [number(4), AttributeValue::L(vec![text("b")])])).await;
    let item = response.item.unwrap_or_else(|| panic!("{:?}", response.error));
    assert_eq!(item["epoch"], number(5));
    assert_eq!(item["steps"], AttributeValue::L(vec![text("a"), text("b")]));
    assert_eq!(item["deep"].as_m().unwrap()["x"], AttributeValue::L(vec![number(1), number(9)]));
    assert_eq!(item["tags"].as_ss().unwrap().len(), 2);
    assert_eq!(item["status"], text("done"));
    assert!(!item.contains_key("gone"));

    let old = world.one(statement("UPDATE \"ledger\" SET epoch = 6 WHERE id = 'f' RETURNING MODIFIED OLD *", [])).await;
    assert_eq!(old.item.unwrap(), HashMap::from([("epoch".to_owned(), number(5))]));
    let none = world.one(statement("UPDATE \"ledger\" SET epoch = 7 WHERE id = 'f'", [])).await;
    assert!(none.item.is_none() && none.error.is_none());
}

#[tokio::test]
async fn a_delete_of_nothing_succeeds_and_of_an_item_that_fails_the_condition_does_not() {
    let world = world().await;
    world.ledger().await;
    world.one(statement("INSERT INTO \"ledger\" VALUE {'id': 'f', 'epoch': 1}", [])).await;
    let delete = "DELETE FROM \"ledger\" WHERE id = ? AND epoch = ? RETURNING ALL OLD *";
    let absent = world.one(statement(delete, [text("absent"), number(1)])).await;
    assert!(absent.error.is_none() && absent.item.is_none());
    let refused = world.one(statement(delete, [text("f"), number(2)])).await;
    assert_eq!(error_code(&refused), Some(&Code::ConditionalCheckFailed));
    let deleted = world.one(statement(delete, [text("f"), number(1)])).await;
    assert_eq!(deleted.item.unwrap()["id"], text("f"));
    assert!(world.item("f").await.is_none());
}

#[tokio::test]
async fn a_batch_as_a_whole_is_refused_for_its_size_a_repeated_key_or_mixed_reads_and_writes() {
    let world = world().await;
    world.ledger().await;
    let insert = |id: String| statement("INSERT INTO \"ledger\" VALUE {'id': ?}", [text(id)]);
    let send = |statements: Vec<BatchStatementRequest>| {
        let batch = world.dynamodb.batch_execute_statement().set_statements(Some(statements));
        async move { code!(batch.send().await) }
    };
    let too_many = (0..26).map(|n| insert(n.to_string())).collect();
    let select = statement("SELECT * FROM \"ledger\" WHERE id = 'b'", []);
    assert_eq!(send(too_many).await, "ValidationException");
    assert_eq!(send(vec![]).await, "ValidationException");
    assert_eq!(send(vec![insert("a".into()), insert("a".into())]).await, "ValidationException");
    assert_eq!(send(vec![insert("a".into()), select]).await, "ValidationException");
    assert!(world.item("a").await.is_none(), "nothing of a refused batch has run");
    let full = world.batch((0..25).map(|n| insert(n.to_string())).collect()).await;
    assert!(full.iter().all(|response| response.error.is_none()) && full.len() == 25);
}

#[tokio::test]
async fn a_select_finds_by_key_in_a_batch_and_by_key_list_query_or_scan_alone() {
    let world = world().await;
    world.ledger().await;
    for n in 0..4 {
        let insert =
            "INSERT INTO \"ledger\" VALUE {'id': ?, 'n': ?, 'attention': 'yes', 'since': ?, 'deep': {'x': [7]}}";
        world.one(statement(insert, [text(format!("f{n}")), number(n), text(format!("t{n}"))])).await;
    }
    let select = "SELECT * FROM \"ledger\" WHERE id = ?";
    let found = world.batch(vec![statement(select, [text("f1")]), statement(select, [text("absent")])]).await;
    assert_eq!(found[0].item.as_ref().unwrap()["n"], number(1));
    assert!(found[1].item.is_none() && found[1].error.is_none());
    let keyless = world.one(statement("SELECT * FROM \"ledger\" WHERE n = 1", [])).await;
    assert_eq!(error_code(&keyless), Some(&Code::ValidationError));

    for (select, ids) in [
        ("SELECT id, deep.x[0] FROM \"ledger\" WHERE id = 'f2'", vec!["f2"]),
        ("SELECT * FROM \"ledger\" WHERE id IN ['f0', 'f3', 'absent']", vec!["f0", "f3"]),
        ("SELECT * FROM \"ledger\" WHERE id = 'f2' AND n = 3", vec![]),
        ("SELECT * FROM \"ledger\".\"attention\" WHERE attention = 'yes' AND since > 't1' AND n < 3", vec!["f2"]),
        ("SELECT * FROM \"ledger\" WHERE n >= 1 AND n <> 2", vec!["f1", "f3"]),
    ] {
        let output = world.dynamodb.execute_statement().statement(select).send().await.unwrap();
        let mut found: Vec<String> = output.items().iter().map(|item| item["id"].as_s().unwrap().clone()).collect();
        found.sort();
        assert_eq!(found, ids, "{select}");
    }
    let projected = world.dynamodb.execute_statement().statement("SELECT deep.x FROM ledger WHERE id = 'f0'");
    let items = projected.send().await.unwrap().items.unwrap();
    assert_eq!(items, [HashMap::from([("x".to_owned(), AttributeValue::L(vec![number(7)]))])]);
}

#[tokio::test]
async fn a_statement_alone_fails_with_the_exception_of_its_own_name_and_pages_by_token() {
    let world = world().await;
    world.ledger().await;
    let run = |statement: &str| world.dynamodb.execute_statement().statement(statement).send();
    run("INSERT INTO \"ledger\" VALUE {'id': 'a'}").await.unwrap();
    run("INSERT INTO \"ledger\" VALUE {'id': 'b'}").await.unwrap();
    assert_eq!(code!(run("INSERT INTO \"ledger\" VALUE {'id': 'a'}").await), "DuplicateItemException");
    assert_eq!(code!(run("UPDATE \"ledger\" SET a = 1 WHERE id = 'c'").await), "ConditionalCheckFailedException");
    assert_eq!(code!(run("SELECT * FROM \"elsewhere\"").await), "ResourceNotFoundException");
    assert_eq!(code!(run("SELECT FROM").await), "ValidationException");

    let mut pages = 0;
    let mut token = None;
    loop {
        let select = world.dynamodb.execute_statement().statement("SELECT * FROM \"ledger\"").limit(1);
        let page = select.set_next_token(token.take()).send().await.unwrap();
        pages += page.items().len();
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(pages, 2);
}

/// Runs `WRITERS` statements at once, `ROUNDS` times, and asserts that exactly one of each round wins.
async fn race(refusal: Code, prepare: &str, contend: &str) {
    let world = Arc::new(world().await);
    world.ledger().await;
    for round in 0..ROUNDS {
        let id = format!("f{round}");
        if !prepare.is_empty() {
            world.one(statement(prepare, [text(&id)])).await;
        }
        let start = Arc::new(Barrier::new(WRITERS));
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (world, start) = (Arc::clone(&world), Arc::clone(&start));
            let contender = statement(contend, [text(format!("w{writer}")), text(&id)]);
            writers.spawn(async move {
                start.wait().await;
                (writer, world.one(contender).await)
            });
        }
        let outcomes = writers.join_all().await;
        let winners: Vec<usize> =
            outcomes.iter().filter(|(_, r)| r.error.is_none()).map(|(writer, _)| *writer).collect();
        assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
        assert!(outcomes.iter().filter_map(|(_, response)| error_code(response)).all(|code| *code == refusal));
        let item = world.item(&id).await.unwrap();
        assert_eq!(item["owner"], text(format!("w{}", winners[0])), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_24_inserts_of_one_key_exactly_one_wins() {
    race(Code::DuplicateItem, "", "INSERT INTO \"ledger\" VALUE {'owner': ?, 'id': ?}").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_24_updates_that_expect_the_same_epoch_exactly_one_wins() {
    race(
        Code::ConditionalCheckFailed,
        "INSERT INTO \"ledger\" VALUE {'id': ?, 'epoch': 1}",
        "UPDATE \"ledger\" SET owner = ? SET epoch = epoch + 1 WHERE id = ? AND epoch = 1",
    )
    .await;
}
