package model

// IAMAction is the name of the IAM action that permits the operation: the
// service's prefix and the operation, save for the exceptions below. AWS has
// more of these than are listed; treat it as a good guess.
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
func (o *Operation) IAMAction() string {
	if a, ok := iamActions[o.Service.Name+" "+o.Name]; ok {
		return a
	}
	prefix := o.Service.SigningName
	if p, ok := iamPrefixes[o.Service.Name]; ok {
		prefix = p
	}
	return prefix + ":" + o.Name
}

// iamPrefixes are the services whose prefix is not their signing name.
var iamPrefixes = map[string]string{
	"cloudwatch": "cloudwatch", "cloudsearchdomain": "cloudsearch", "iot-data": "iot", "iot-jobs-data": "iot", "lex-runtime": "lex", "lexv2-models": "lex", "lexv2-runtime": "lex",
	"pinpoint": "mobiletargeting", "resourcegroupstaggingapi": "tag", "ses": "ses", "sesv2": "ses", "sso-admin": "sso", "timestream-query": "timestream", "timestream-write": "timestream",
	"dynamodbstreams": "dynamodb", "mturk": "mechanicalturk", "efs": "elasticfilesystem", "meteringmarketplace": "aws-marketplace", "personalize-runtime": "personalize",
}

// iamActions are operations that another action permits.
var iamActions = map[string]string{
	"lambda Invoke": "lambda:InvokeFunction", "lambda InvokeAsync": "lambda:InvokeFunction",
	"s3 CopyObject": "s3:PutObject", "s3 CreateMultipartUpload": "s3:PutObject", "s3 UploadPart": "s3:PutObject", "s3 CompleteMultipartUpload": "s3:PutObject", "s3 UploadPartCopy": "s3:PutObject",
	"s3 DeleteObjects": "s3:DeleteObject", "s3 DeleteBucketCors": "s3:PutBucketCORS", "s3 DeleteBucketEncryption": "s3:PutEncryptionConfiguration", "s3 DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
	"s3 DeleteBucketReplication": "s3:PutReplicationConfiguration", "s3 DeleteBucketTagging": "s3:PutBucketTagging", "s3 DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
	"s3 GetBucketAccelerateConfiguration": "s3:GetAccelerateConfiguration", "s3 GetBucketAnalyticsConfiguration": "s3:GetAnalyticsConfiguration", "s3 GetBucketCors": "s3:GetBucketCORS",
	"s3 GetBucketEncryption": "s3:GetEncryptionConfiguration", "s3 GetBucketIntelligentTieringConfiguration": "s3:GetIntelligentTieringConfiguration", "s3 GetBucketInventoryConfiguration": "s3:GetInventoryConfiguration",
	"s3 GetBucketLifecycle": "s3:GetLifecycleConfiguration", "s3 GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration", "s3 GetBucketMetricsConfiguration": "s3:GetMetricsConfiguration",
	"s3 GetBucketNotificationConfiguration": "s3:GetBucketNotification", "s3 GetBucketReplication": "s3:GetReplicationConfiguration", "s3 GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
	"s3 GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock", "s3 HeadBucket": "s3:ListBucket", "s3 HeadObject": "s3:GetObject", "s3 ListBuckets": "s3:ListAllMyBuckets",
	"s3 ListBucketAnalyticsConfigurations": "s3:GetAnalyticsConfiguration", "s3 ListBucketInventoryConfigurations": "s3:GetInventoryConfiguration", "s3 ListBucketMetricsConfigurations": "s3:GetMetricsConfiguration",
	"s3 ListMultipartUploads": "s3:ListBucketMultipartUploads", "s3 ListObjects": "s3:ListBucket", "s3 ListObjectsV2": "s3:ListBucket", "s3 ListObjectVersions": "s3:ListBucketVersions", "s3 ListParts": "s3:ListMultipartUploadParts",
	"s3 PutBucketAccelerateConfiguration": "s3:PutAccelerateConfiguration", "s3 PutBucketCors": "s3:PutBucketCORS", "s3 PutBucketEncryption": "s3:PutEncryptionConfiguration",
	"s3 PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration", "s3 PutBucketNotificationConfiguration": "s3:PutBucketNotification", "s3 PutBucketReplication": "s3:PutReplicationConfiguration",
	"s3 PutObjectLockConfiguration": "s3:PutBucketObjectLockConfiguration", "s3 PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
	"s3control GetPublicAccessBlock": "s3:GetAccountPublicAccessBlock", "s3control PutPublicAccessBlock": "s3:PutAccountPublicAccessBlock", "s3control DeletePublicAccessBlock": "s3:PutAccountPublicAccessBlock",
}
