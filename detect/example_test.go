package detect_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

// Read a log and print what the rules find in it.
func ExampleRun() {
	rules, err := sigma.Parse("user.yml", []byte(`
title: User created
name: user_created
logsource: {product: aws, service: cloudtrail}
detection: {selection: {eventName: CreateUser}, condition: selection}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	engine, err := sigma.Compile(rules, sigma.Options{Fields: detect.Fields()})
	if err != nil {
		fmt.Println(err)
		return
	}
	log := `{"Records":[{"eventVersion":"1.11","eventID":"e1","eventName":"CreateUser","eventSource":"iam.amazonaws.com",
		"userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::123456789012:user/eve"}}]}`
	stats, err := detect.Run(context.Background(), []logs.Source{logs.FromReader("log", strings.NewReader(log))}, engine, detect.Options{},
		func(m *detect.Match) error {
			fmt.Println(m.Finding.RuleID, m.Finding.EventIDs, m.Finding.Actor)
			return nil
		})
	fmt.Println(stats.Events, "event", err)
	// Output:
	// user_created [e1] arn:aws:iam::123456789012:user/eve
	// 1 event <nil>
}
