package posture

import (
	"testing"

	"cel.dev/cel-go/cel"
)

// BenchmarkEval is one evaluation of expressions as controls have them.
func BenchmarkEval(b *testing.B) {
	env, err := newEnv()
	if err != nil {
		b.Fatal(err)
	}
	st := testState(`{"Meta":{"Tokens":"required"},"Perms":[{"IpProtocol":"tcp","FromPort":443,"ToPort":443,"IpRanges":[{"CidrIp":"10.0.0.0/8"},{"CidrIp":"10.1.0.0/16"}]},{"IpProtocol":"tcp","FromPort":22,"ToPort":22,"IpRanges":[{"CidrIp":"10.0.0.0/8"}]}]}`, nil)
	for _, c := range []struct{ name, text string }{
		{"compare", `resource.Meta.Tokens == "required"`},
		{"ranges", `!resource.Perms.exists(p, ports.covers(p, "tcp", 22) && p.IpRanges.exists(r, cidr.isWorld(r.CidrIp)))`},
	} {
		ast, issues := env.Compile(c.text)
		if issues.Err() != nil {
			b.Fatal(issues.Err())
		}
		for _, o := range []struct {
			name string
			opts []cel.ProgramOption
		}{{"limited", []cel.ProgramOption{cel.CostLimit(costLimit)}}, {"free", nil}} {
			p, err := env.Program(ast, append(o.opts, cel.CustomDecoratorV2(friendlyNull))...)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(c.name+"/"+o.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					eval(p, st)
				}
			})
		}
	}
}
