// Package logs reads AWS logs as streams of events, whatever form they have.
//
// The types are Source, something to read (a file, standard input, an object of
// S3); Reader, which recognises a source by its content and hands every record
// to a callback; Problem, one record or file that could not be read; and Stats.
//
// # Caveats
//
// Nothing is loaded whole: memory is bounded by MaxRecord, not by the input.
// A record that cannot be read is reported as a Problem with its offset in the
// decompressed source, and reading goes on at the next record.
package logs
