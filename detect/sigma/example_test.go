package sigma_test

import (
	"fmt"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

// Match one event against one rule.
func Example() {
	rules, err := sigma.Parse("root.yml", []byte(`
title: Root used
name: root_used
logsource: {product: aws, service: cloudtrail}
detection:
  selection:
    userIdentity.type: Root
  service:
    eventType: AwsServiceEvent
  condition: selection and not service
level: high
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	engine, err := sigma.Compile(rules, sigma.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	e, err := event.Parse(engine.Schema(), event.CloudTrail, []byte(`{"eventName":"ConsoleLogin","userIdentity":{"type":"Root"}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	m := engine.Matcher()
	m.Match(e, func(r *sigma.Rule) { fmt.Println("matches", r.Key()) })
	fmt.Print(m.Explain(rules0(engine), e))
	// Output:
	// matches root_used
	// + all of
	//   + selection
	//     + userIdentity.type: ["Root"]; the event has ["Root"]
	//   + not
	//     - service
	//       - eventType: ["AwsServiceEvent"]; the event has no such field
}

func rules0(engine *sigma.Engine) *sigma.Rule { return engine.Rules()[0] }
