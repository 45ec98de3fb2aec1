// Package baseline learns what each principal of an AWS estate usually does and
// scores what it has not done before.
//
// State is what was learned. A Learner adds events to it; a Judge compares events
// with it and hands out a finding for every day of a principal whose score reaches
// the threshold. A score is a sum; its terms, each with what it is about and the
// events, are the finding's evidence. Both take events one by one, or from
// Extractors in several goroutines, which do most of the work.
//
// # Caveats
//
// A principal that is known for less than MinDays or MinEvents is not judged by
// its own past (cold start); Judge.Cold counts such principals. Seasonality needs
// MinWeeks of learning. A day is settled at the end, or when 25,000 days of
// principals are open: then the older half is, but never the newest day, and what
// comes for it afterwards is counted in Late and not scored. Within the bounds
// nothing depends on the order of events. Calls that AWS services make for
// themselves are left out. Read refuses the state files of other versions.
package baseline
