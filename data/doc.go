// Package data turns files of records into the batches that training runs on.
package data
