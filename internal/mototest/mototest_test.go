package mototest

import (
	"net/http"
	"testing"
)

func TestStart(t *testing.T) {
	endpoint := Start(t)
	resp, err := http.Get(endpoint + "/moto-api/")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %s", endpoint, resp.Status)
	}
	Reset(t, endpoint)
}
