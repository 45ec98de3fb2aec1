package catalog_test

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/internal/thirdparty"
)

type recording struct {
	technique string
	rules     []string
}

// recorded are the AWS attack techniques of Stratus Red Team and the rules that
// name each, the most telling first.
var recorded = []recording{
	{"aws.credential-access.ec2-get-password-data", []string{"ec2_password_data_bulk_read", "ec2_password_data_read"}},
	{"aws.credential-access.ec2-steal-instance-credentials", []string{"instance_credentials_used_elsewhere", "instance_credentials_from_second_network"}},
	{"aws.credential-access.secretsmanager-batch-retrieve-secrets", []string{"secretsmanager_secrets_batch_bulk_read", "secretsmanager_secrets_batch_by_filter"}},
	{"aws.credential-access.secretsmanager-retrieve-secrets", []string{"secretsmanager_secrets_bulk_read"}},
	{"aws.credential-access.ssm-retrieve-securestring-parameters", []string{"ssm_securestrings_bulk_read", "ssm_securestrings_read_one_by_one"}},
	{"aws.defense-evasion.cloudtrail-delete", []string{"cloudtrail_trail_deleted"}},
	{"aws.defense-evasion.cloudtrail-event-selectors", []string{"cloudtrail_event_selectors_narrowed"}},
	{"aws.defense-evasion.cloudtrail-lifecycle-rule", []string{"cloudtrail_bucket_short_lifecycle"}},
	{"aws.defense-evasion.cloudtrail-stop", []string{"cloudtrail_logging_stopped"}},
	{"aws.defense-evasion.dns-delete-logs", []string{"dns_query_logging_deleted"}},
	{"aws.defense-evasion.organizations-leave", []string{"organization_left"}},
	{"aws.defense-evasion.vpc-remove-flow-logs", []string{"vpc_flow_logs_deleted"}},
	{"aws.discovery.ec2-download-user-data", []string{"ec2_user_data_downloaded_in_bulk", "ec2_user_data_read"}},
	{"aws.discovery.ec2-enumerate-from-instance", []string{"instance_role_enumerates_account"}},
	{"aws.discovery.ses-enumerate", []string{"ses_enumerated"}},
	{"aws.execution.ec2-launch-unusual-instances", []string{"ec2_unusual_instances_launched"}},
	{"aws.execution.ec2-user-data", []string{"ec2_code_run_through_user_data", "ec2_user_data_changed"}},
	{"aws.execution.sagemaker-update-lifecycle-config", []string{"sagemaker_lifecycle_config_changed"}},
	{"aws.execution.ssm-send-command", []string{"ssm_command_sent"}},
	{"aws.execution.ssm-start-session", []string{"ssm_sessions_on_many_instances", "ssm_session_started"}},
	{"aws.exfiltration.ec2-security-group-open-port-22-ingress", []string{"ec2_security_group_ssh_opened"}},
	{"aws.exfiltration.ec2-share-ami", []string{"ec2_image_shared"}},
	{"aws.exfiltration.ec2-share-ebs-snapshot", []string{"ec2_snapshot_shared"}},
	{"aws.exfiltration.rds-share-snapshot", []string{"rds_snapshot_shared"}},
	{"aws.exfiltration.s3-backdoor-bucket-policy", []string{"s3_bucket_policy_foreign_account"}},
	{"aws.impact.bedrock-invoke-model", []string{"bedrock_model_enabled_then_invoked"}},
	{"aws.impact.ec2-deregister-ami", []string{"ec2_image_deregistered"}},
	{"aws.impact.s3-ransomware-batch-deletion", []string{"s3_ransomware_batch_deletion"}},
	{"aws.impact.s3-ransomware-client-side-encryption", []string{"s3_ransomware_customer_keys"}},
	{"aws.impact.s3-ransomware-individual-deletion", []string{"s3_ransomware_objects_deleted_one_by_one"}},
	{"aws.initial-access.console-login-without-mfa", []string{"console_login_without_mfa"}},
	{"aws.lateral-movement.ec2-instance-connect", []string{"ec2_instance_connect_many_instances", "ec2_instance_connect_key_pushed"}},
	{"aws.lateral-movement.ec2-serial-console-send-ssh-public-key", []string{"ec2_serial_console_key_pushed"}},
	{"aws.persistence.iam-backdoor-role", []string{"iam_role_trust_opened_to_other_account"}},
	{"aws.persistence.iam-backdoor-user", []string{"iam_access_key_created_for_another_user"}},
	{"aws.persistence.iam-create-admin-user", []string{"iam_admin_user_created"}},
	{"aws.persistence.iam-create-backdoor-role", []string{"iam_backdoor_role_created", "iam_role_created_with_foreign_trust"}},
	{"aws.persistence.iam-create-user-login-profile", []string{"iam_login_profile_created"}},
	{"aws.persistence.lambda-backdoor-function", []string{"lambda_function_opened_to_others"}},
	{"aws.persistence.lambda-layer-extension", []string{"lambda_layer_attached"}},
	{"aws.persistence.lambda-overwrite-code", []string{"lambda_function_code_overwritten", "lambda_function_code_deployed"}},
	{"aws.persistence.rolesanywhere-create-trust-anchor", []string{"rolesanywhere_trust_anchor_created"}},
	{"aws.persistence.sts-federation-token", []string{"federation_token_requested"}},
	{"aws.privilege-escalation.iam-update-user-login-profile", []string{"iam_login_profile_password_reset"}},
}

// TestRecordedTechniques runs the pack over recordings of attack techniques:
// each must be detected by the rule that names it.
func TestRecordedTechniques(t *testing.T) {
	folder := thirdparty.Path(t, "cloudtrail")
	engine := pack(t)
	files, err := filepath.Glob(filepath.Join(folder, "stratus", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings in %s: %v", folder, err)
	}
	for _, file := range files {
		technique := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(technique, func(t *testing.T) {
			i := slices.IndexFunc(recorded, func(r recording) bool { return r.technique == technique })
			if i < 0 {
				t.Fatal("no rule is said to name this technique")
			}
			sources, err := logs.Files(file)
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]bool{}
			_, err = detect.Run(context.Background(), sources, engine, detect.Options{Workers: 1}, func(m *detect.Match) error {
				found[m.Rule.Name] = true
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if !found[recorded[i].rules[0]] {
				t.Errorf("%s is not among the matches %v", recorded[i].rules[0], found)
			}
		})
	}
}

// TestKnownTechniques holds the table against the list of techniques.
func TestKnownTechniques(t *testing.T) {
	folder := thirdparty.Path(t, "cloudtrail")
	f, err := os.Open(filepath.Join(folder, "stratus-techniques.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	listed := map[string]bool{}
	for s := bufio.NewScanner(f); s.Scan(); {
		if line := strings.TrimSpace(s.Text()); line != "" {
			listed[line] = true
		}
	}
	for _, r := range recorded {
		if !listed[r.technique] {
			t.Errorf("%s is not in the list", r.technique)
		}
		delete(listed, r.technique)
	}
	for technique := range listed {
		t.Errorf("no rule is said to name %s", technique)
	}
}
