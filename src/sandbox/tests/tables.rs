//! DynamoDB's classic operations, as far as the program uses them.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
    KeysAndAttributes, Projection, ProjectionType, ScalarAttributeType, TimeToLiveSpecification, TimeToLiveStatus,
};

use super::{World, code, number, text, world};

impl World {
    async fn put(&self, item: &[(&str, AttributeValue)]) {
        let item = item.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        self.dynamodb.put_item().table_name("ledger").set_item(Some(item)).send().await.unwrap();
    }
}

fn ids(items: &[HashMap<String, AttributeValue>]) -> Vec<&str> {
    items.iter().map(|item| item["id"].as_s().unwrap().as_str()).collect()
}

#[tokio::test]
async fn a_sparse_index_holds_only_items_that_have_its_keys_in_the_order_of_its_sort_key() {
    let world = world().await;
    world.ledger().await;
    world.put(&[("id", text("late")), ("attention", text("yes")), ("since", text("t9"))]).await;
    world.put(&[("id", text("early")), ("attention", text("yes")), ("since", text("t1"))]).await;
    world.put(&[("id", text("quiet"))]).await;
    world.put(&[("id", text("half")), ("attention", text("yes"))]).await;
    world.put(&[("id", text("other")), ("attention", text("no")), ("since", text("t0"))]).await;
    let query = world.dynamodb.query().table_name("ledger").index_name("attention");
    let query = query.key_condition_expression("attention = :a").expression_attribute_values(":a", text("yes"));
    let all = query.clone().send().await.unwrap();
    assert_eq!(ids(all.items()), ["early", "late"]);
    let first = query.clone().limit(1).send().await.unwrap();
    assert_eq!(ids(first.items()), ["early"]);
    let next = query.set_exclusive_start_key(first.last_evaluated_key).send().await.unwrap();
    assert_eq!(ids(next.items()), ["late"]);
    let scan = world.dynamodb.scan().table_name("ledger").index_name("attention").send().await.unwrap();
    let mut found = ids(scan.items());
    found.sort_unstable();
    assert_eq!((found, scan.count()), (vec!["early", "late", "other"], 3));
    let select = "SELECT * FROM \"ledger\".\"attention\" WHERE attention = 'yes'";
    let selected = world.dynamodb.execute_statement().statement(select).send().await.unwrap();
    assert_eq!(ids(selected.items()), ["early", "late"]);
    let unknown = world.dynamodb.scan().table_name("ledger").index_name("nowhere").send().await;
    assert_eq!(code!(unknown), "ValidationException");
}

#[tokio::test]
async fn an_index_gives_out_only_what_is_projected_into_it() {
    let world = world().await;
    let attribute = |name: &str| {
        let text = ScalarAttributeType::S;
        AttributeDefinition::builder().attribute_name(name).attribute_type(text).build().unwrap()
    };
    let key = |name: &str| KeySchemaElement::builder().attribute_name(name).key_type(KeyType::Hash).build().unwrap();
    let projection = Projection::builder().projection_type(ProjectionType::Include).non_key_attributes("kept").build();
    let index = GlobalSecondaryIndex::builder().index_name("by-kind").key_schema(key("kind")).projection(projection);
    let create = world.dynamodb.create_table().table_name("ledger").billing_mode(BillingMode::PayPerRequest);
    let create = create.key_schema(key("id")).attribute_definitions(attribute("id"));
    let create = create.attribute_definitions(attribute("kind")).global_secondary_indexes(index.build().unwrap());
    create.send().await.unwrap();
    let item = [("id", text("a")), ("kind", text("k")), ("kept", text("x")), ("left", text("y"))];
    world.put(&item).await;
    let query = world.dynamodb.query().table_name("ledger").index_name("by-kind");
    let query = query.key_condition_expression("kind = :k").expression_attribute_values(":k", text("k"));
    let mut names: Vec<String> = query.send().await.unwrap().items.unwrap().remove(0).into_keys().collect();
    names.sort();
    assert_eq!(names, ["id", "kept", "kind"]);
}

#[tokio::test]
async fn the_segments_of_a_scan_cover_the_table_once_and_a_filter_applies_in_each() {
    let world = world().await;
    world.ledger().await;
    for n in 0..50 {
        world.put(&[("id", text(format!("f{n}"))), ("n", number(n))]).await;
    }
    let mut seen = BTreeSet::new();
    for segment in 0..4 {
        let scan = world.dynamodb.scan().table_name("ledger").segment(segment).total_segments(4);
        let scan = scan.filter_expression("n >= :least").expression_attribute_values(":least", number(10));
        for id in ids(scan.send().await.unwrap().items()) {
            assert!(seen.insert(id.to_owned()), "{id} is in two segments");
        }
    }
    assert_eq!(seen.len(), 40);
}

#[tokio::test]
async fn a_batch_read_returns_what_exists_and_leaves_nothing_unprocessed() {
    let world = world().await;
    world.ledger().await;
    world.put(&[("id", text("a"))]).await;
    world.put(&[("id", text("b"))]).await;
    let keys = ["a", "b", "absent"].map(|id| HashMap::from([("id".to_owned(), text(id))]));
    let wanted = KeysAndAttributes::builder().set_keys(Some(keys.to_vec())).consistent_read(true).build().unwrap();
    let output = world.dynamodb.batch_get_item().request_items("ledger", wanted).send().await.unwrap();
    assert_eq!(output.responses.unwrap()["ledger"].len(), 2);
    assert!(output.unprocessed_keys.unwrap_or_default().is_empty());
}

#[tokio::test]
async fn a_table_describes_itself_with_the_account_it_is_in_and_its_time_to_live() {
    let world = world().await;
    world.ledger().await;
    let describe = || world.dynamodb.describe_table().table_name("ledger").send();
    let table = describe().await.unwrap().table.unwrap();
    assert_eq!(table.table_arn(), Some("arn:aws:dynamodb:us-east-1:123456789012:table/ledger"));
    assert_eq!(table.table_status().unwrap().as_str(), "ACTIVE");
    assert_eq!(table.global_secondary_indexes()[0].index_status().unwrap().as_str(), "ACTIVE");
    let specification = TimeToLiveSpecification::builder().attribute_name("expires_at").enabled(true).build().unwrap();
    let update = world.dynamodb.update_time_to_live().table_name("ledger").time_to_live_specification(specification);
    update.send().await.unwrap();
    let ttl = world.dynamodb.describe_time_to_live().table_name("ledger").send().await.unwrap();
    let ttl = ttl.time_to_live_description.unwrap();
    assert_eq!(ttl.attribute_name(), Some("expires_at"));
    assert_eq!(ttl.time_to_live_status(), Some(&TimeToLiveStatus::Enabled));
    let again = world.dynamodb.create_table().table_name("nowhere").send().await;
    assert!(again.is_err());
    assert_eq!(code!(world.dynamodb.describe_table().table_name("nowhere").send().await), "ResourceNotFoundException");
}

#[tokio::test]
async fn a_failed_condition_brings_the_item_when_asked() {
    let world = world().await;
    world.ledger().await;
    world.put(&[("id", text("a")), ("owner", text("w1"))]).await;
    let put = world.dynamodb.put_item().table_name("ledger").item("id", text("a"));
    let put = put.condition_expression("attribute_not_exists(id)");
    let failed = put.return_values_on_condition_check_failure("ALL_OLD".into()).send().await.unwrap_err();
    let aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(failure) =
        failed.into_service_error()
    else {
        panic!("a failed condition")
    };
    assert_eq!(failure.item.unwrap()["owner"], text("w1"));
}
