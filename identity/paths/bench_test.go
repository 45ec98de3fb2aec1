package paths_test

import (
	"fmt"
	"testing"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/identity/inventory"
	"github.com/bartizan-security/bartizan/identity/paths"
)

// town generates an estate: in each account the same jobs with their roles and
// users, as platform teams build them, with some mistakes.
func town(h *house, accounts, principals int) {
	per := principals / accounts
	for i := range accounts {
		id := fmt.Sprintf("%012d", 100000000000+int64(i))
		arn := func(kind, name string) string { return "arn:aws:iam::" + id + ":" + kind + "/" + name }
		h.roleIn(id, "admin", trusts("AWS", arn("user", "root-ops")), everything)
		h.roleIn(id, "deploy", trusts("Service", "cloudformation.amazonaws.com"), everything)
		h.roleIn(id, "ci", trusts("AWS", "arn:aws:iam::100000000000:root"), policy(
			statement("Allow", []string{"cloudformation:*", "s3:*"}, "*"),
			statement("Allow", []string{"iam:PassRole"}, arn("role", "deploy"))))
		h.roleIn(id, "ops", trusts("AWS", id), policy(statement("Allow", []string{"ec2:*", "ssm:*", "iam:PassRole"}, "*")))
		h.roleIn(id, "web", trusts("Service", "ec2.amazonaws.com"), policy(statement("Allow", []string{"s3:GetObject"}, "*"), statement("Allow", []string{"iam:AttachRolePolicy"}, arn("role", "web"))))
		h.add("AWS::EC2::Instance", "i-1", "arn:aws:ec2:eu-west-1:"+id+":instance/i-1", id, "eu-west-1", doc{"InstanceId": "i-1", "IamInstanceProfile": doc{"Arn": arn("instance-profile", "web")}})
		for j := range per - 5 {
			switch {
			case j%50 == 49: // a user of its own making, who may do a little too much
				h.userIn(id, fmt.Sprint("dev", j), policy(statement("Allow", []string{"iam:CreateAccessKey", "iam:UpdateLoginProfile"}, arn("user", "dev*"))))
			case j%50 == 48:
				h.userIn(id, fmt.Sprint("dev", j), policy(statement("Allow", []string{"iam:PutUserPolicy"}, arn("user", "${aws:username}"))))
			case j%2 == 0: // a service of a team, each with its own table
				h.roleIn(id, fmt.Sprint("svc", j), trusts("Service", "lambda.amazonaws.com"), policy(
					statement("Allow", []string{"dynamodb:GetItem", "dynamodb:PutItem"}, fmt.Sprintf("arn:aws:dynamodb:eu-west-1:%s:table/t%d", id, j)),
					statement("Allow", []string{"logs:*"}, "*")))
			case j%10 == 1:
				h.userIn(id, fmt.Sprint("op", j), policy(statement("Allow", []string{"sts:AssumeRole"}, arn("role", "ops"))))
			default:
				h.userIn(id, fmt.Sprint("reader", j), policy(statement("Allow", []string{"s3:Get*", "ec2:Describe*", "lambda:List*"}, "*")))
			}
		}
	}
}

// BenchmarkFind looks for the paths of 10,000 principals to an administrator,
// with the smallest cut and without.
func BenchmarkFind(b *testing.B) {
	for _, c := range []struct {
		accounts int
		noCut    bool
	}{{1, true}, {1, false}, {20, true}, {20, false}, {200, false}} {
		h := &house{t: b}
		town(h, c.accounts, 10_000)
		e := estate.New(estate.Header{Schema: estate.Schema}, h.list, nil)
		inv, err := inventory.Load(e)
		if err != nil {
			b.Fatal(err)
		}
		index := e.Index()
		prims := primitives(b)
		b.Run(fmt.Sprintf("accounts=%d/cut=%t", c.accounts, !c.noCut), func(b *testing.B) {
			for b.Loop() {
				r, err := paths.Find(inv, paths.Options{Primitives: prims, Index: index, NoCut: c.noCut})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(r.Reached), "reached")
				b.ReportMetric(float64(len(r.Paths)), "paths")
				if r.Cut != nil {
					b.ReportMetric(float64(len(r.Cut.Changes)), "changes")
					if !r.Cut.Verified {
						b.Fatal("the cut is not verified")
					}
				}
			}
		})
	}
}

// crowd generates one account in which nearly everybody can become nearly
// everybody, each with a policy of its own: what a search must not drown in.
func crowd(h *house, principals int) {
	own := func(i int, actions ...string) doc {
		return policy(statement("Allow", actions, "*"), statement("Allow", []string{"s3:GetObject"}, fmt.Sprintf("arn:aws:s3:::b%d/*", i)))
	}
	h.role("boss", trusts("Service", "lambda.amazonaws.com"), everything)
	for i := range principals - 1 {
		name := fmt.Sprint("p", i)
		switch i % 5 {
		case 0:
			h.role(name, trusts("Service", "lambda.amazonaws.com"), own(i, "lambda:*", "iam:PassRole"))
		case 1:
			h.role(name, trusts("AWS", acct), own(i, "sts:AssumeRole", "lambda:*", "iam:PassRole"))
		case 2:
			h.user(name, own(i, "iam:AttachUserPolicy", "iam:CreateAccessKey"))
		case 3:
			h.user(name, own(i, "sts:AssumeRole", "iam:CreatePolicyVersion"))
		default:
			h.user(name, policy(statement("Allow", []string{"iam:CreateAccessKey"}, fmt.Sprintf("arn:aws:iam::%s:user/p%d*", acct, i/2))))
		}
	}
}

// BenchmarkFindCrowd is the same for an estate where all are entangled.
func BenchmarkFindCrowd(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		h := &house{t: b}
		crowd(h, n)
		inv, index := h.load()
		prims := primitives(b)
		for _, noCut := range []bool{true, false} {
			b.Run(fmt.Sprintf("principals=%d/cut=%t", n, !noCut), func(b *testing.B) {
				for b.Loop() {
					r, err := paths.Find(inv, paths.Options{Primitives: prims, Index: index, NoCut: noCut})
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(r.Reached+r.Maybe), "reached")
					if r.Cut != nil {
						b.ReportMetric(float64(len(r.Cut.Changes)), "changes")
						if !r.Cut.Verified {
							b.Fatal("the cut is not verified")
						}
					}
				}
			})
		}
	}
}
