// Package asl is an interpreter of the Amazon States Language: it parses,
// validates and runs the state machines of AWS Step Functions, and records
// their history so that a run can be killed at any point and resumed.
//
// [Parse] reads a definition into a [Machine]; [Validate] remarks on one as
// ValidateStateMachineDefinition does. [Run] executes a machine: the [Host]
// says who performs tasks, what time it is, and where history is kept.
// [TestState] runs one state and shows each step of its data processing.
// [Graph] draws a machine.
//
//	m, err := asl.Parse(definition)
//	…
//	result, err := asl.Run(ctx, m, []byte(`{"user":"ada"}`), asl.Host{Tasks: tasks})
//
// https://states-language.net and
// https://docs.aws.amazon.com/step-functions/latest/dg/concepts-amazon-states-language.html
//
// # Caveats
//
// Without a [Clock] time is virtual: it stands still while states run and jumps
// over each Wait, so that a run is reproducible and takes no time. With a
// virtual clock tasks are called one after the other.
//
// A failed execution is a [Result] with a status, not an error; Run's error
// means that the execution could not be carried on, and may be resumed.
//
// Events inside Parallel and concurrent Map states come in an order that is
// fixed here and not on AWS.
package asl
