//! PartiQL for DynamoDB, as far as a queue worker's ledger needs it.
//!
//! A statement goes three ways: [`parse`] binds its `?` parameters and yields an [`ast::Statement`]; [`translate`] turns that
//! into the classic item operations with condition expressions, so that the table's own atomicity decides every race;
//! [`execute`] runs them and speaks `ExecuteStatement` and `BatchExecuteStatement`.
//!
//! Source of the rules: the "PartiQL for DynamoDB" chapters of the Amazon DynamoDB Developer Guide.

mod ast;
mod cursor;
mod execute;
mod lexer;
mod parser;
mod plan;
mod select;
mod translate;

pub(super) use ast::Item;
pub(super) use execute::{Failure, batch_execute_statement, execute_statement};
use parser::parse;
