// Package incident joins detections into incidents: what one actor did, in order
// of time, led back through sessions to whoever began it.
//
// Correlator takes matches in any order, those of LinkRule too, which are the
// calls that open sessions, and Finish returns finding.Incident values and the
// detections that stand alone. Its Keep is for detect.Options. Automation recognises
// callers that are programs by what AWS itself records, Judge weighs what an
// actor can reach in an estate, and Suppressor applies a suppression file.
//
// # The rule of time
//
// Detections of one originating principal are one incident as long as no more
// than Options.Gap lies between two of them, by the events' own time. Incidents
// of two principals become one where credentials that one made are used by the
// other, or where both come from one address that at most five principals with
// alerts use; both only while the two lie within Gap of each other.
//
// # Caveats
//
// Nothing depends on the order of delivery as long as the bounds of Options are
// kept; what goes beyond them is counted in Report, not hidden. Times that a
// record does not give are taken as unknown and such detections stand alone.
package incident
