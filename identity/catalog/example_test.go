package catalog_test

import (
	"fmt"

	"github.com/bartizan-security/bartizan/identity/catalog"
)

func Example() {
	c := catalog.Default()
	a, _ := c.Action("IAM:passrole")
	fmt.Println(a, a.Level, c.ResourceTypesOf(a)[0].ARN)
	k, _ := c.ConditionKey("aws:requesttag/team")
	fmt.Println(k.Key, k.Type)
	p, _ := catalog.ManagedPolicy("arn:aws:iam::aws:policy/AdministratorAccess")
	fmt.Println(p.Name, p.VersionID)
	// Output:
	// iam:PassRole Write arn:${Partition}:iam::${Account}:role/${RoleNameWithPath}
	// aws:RequestTag/${TagKey} String
	// AdministratorAccess v1
}
