// Package paths finds who can become whom in an estate: the escalation paths
// from principals to an administrator or to a resource, and the fewest changes
// that break them.
//
// A [Primitive] is one known way to gain the rights of somebody else, read as
// data by [Load]. [Find] judges every primitive for every principal with the
// evaluator, on the real targets and with their trust policies, permissions
// boundaries and control policies, and returns a [Report]: a [Path] for each
// source and way, its steps with the statements that allow them, and a [Cut].
//
// # Caveats
//
// A path is certain only if every step is allowed whatever is not known; else
// it is possible, and its assumptions are named. A resource that a principal
// would create gets the name that its policies allow. The catalogue is what is known today: no path found does not mean that
// there is none.
package paths
