package awsapi_test

import (
	"fmt"
	"strings"

	"github.com/bartizan-security/bartizan/awsapi"
)

func ExampleLookupOperation() {
	// As a Step Functions task names it: arn:aws:states:::aws-sdk:elasticloadbalancingv2:describeListeners
	op, err := awsapi.LookupOperation("elasticloadbalancingv2", "describeListeners")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(op.Service.Name, op.Name, op.Service.Protocol, op.IAMAction())

	_, err = awsapi.LookupOperation("ec2", "DescribeInstnces")
	fmt.Println(err)
	// Output:
	// elbv2 DescribeListeners query elasticloadbalancing:DescribeListeners
	// there is no AWS ec2 operation "DescribeInstnces"; did you mean DescribeInstances?
}

func ExamplePartitionOf() {
	p, err := awsapi.PartitionOf("us-gov-west-1")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.ID, p.DNSSuffix, strings.Join(p.Regions, " "))
	// Output: aws-us-gov amazonaws.com aws-us-gov-global us-gov-east-1 us-gov-west-1
}
