package entrasim_test

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

// A token by client credentials, then Graph: as against the real thing, with two addresses changed.
func Example() {
	sim, err := entrasim.New(entrasim.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := sim.Listen("127.0.0.1:0"); err != nil {
		log.Fatal(err)
	}
	defer sim.Close()
	client := sim.Client()

	var token struct {
		AccessToken string `json:"access_token"`
	}
	resp, err := client.PostForm(sim.URL()+"/contoso.onmicrosoft.com/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "scope": {"https://graph.microsoft.com/.default"},
		"client_id": {sim.App().ID}, "client_secret": {sim.App().Secret},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&token); err != nil {
		log.Fatal(err)
	}

	req, err := http.NewRequest("POST", sim.URL()+"/v1.0/invitations", strings.NewReader(
		`{"invitedUserEmailAddress":"adele@fabrikam.com","inviteRedirectUrl":"https://myapps.microsoft.com"}`))
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token.AccessToken)
	req.Header.Set("Content-Type", "application/json")
	invited, err := client.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer invited.Body.Close()

	fmt.Println(invited.Status)
	fmt.Println(sim.Users("contoso")[0]["userPrincipalName"])
	// Output:
	// 201 Created
	// adele_fabrikam.com#EXT#@contoso.onmicrosoft.com
}
