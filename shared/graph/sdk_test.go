package graph_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/google/uuid"
	kiotaauth "github.com/microsoft/kiota-authentication-azure-go"
	kiotahttp "github.com/microsoft/kiota-http-go"
	msgraph "github.com/microsoftgraph/msgraph-sdk-go"
	msgraphcore "github.com/microsoftgraph/msgraph-sdk-go-core"
	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/models/odataerrors"
	"github.com/microsoftgraph/msgraph-sdk-go/users"

	"github.com/tenantsync/tenantsync/shared/entrasim"
)

// official is Microsoft's client as any program makes it, with all its middleware, signed in to one simulated tenant.
type official struct {
	*msgraph.GraphServiceClient
	server *entrasim.Server
	t      *testing.T
}

func newOfficial(t *testing.T, roles string) *official {
	t.Helper()
	server, err := entrasim.New(entrasim.Options{
		Tenants: []entrasim.Tenant{
			{Name: "contoso", Domain: "contoso.example.com", Roles: strings.Fields(roles), Apps: []entrasim.EnterpriseApp{{Name: "Payroll", Roles: []string{"Reader"}}}},
			{Name: "fabrikam", Domain: "fabrikam.example.com"},
		},
		PageSize: 3, AutoRedeem: true,
	})
	must(t, err)
	must(t, server.Listen("127.0.0.1:0"))
	client := server.Client()
	t.Cleanup(func() {
		client.CloseIdleConnections()
		server.Close()
	})
	where, err := url.Parse(server.URL())
	must(t, err)
	credential, err := azidentity.NewClientSecretCredential(server.Tenants()[0].ID, server.App().ID, server.App().Secret, &azidentity.ClientSecretCredentialOptions{
		ClientOptions:            azcore.ClientOptions{Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: server.URL()}, Transport: client},
		DisableInstanceDiscovery: true,
	})
	must(t, err)
	auth, err := kiotaauth.NewAzureIdentityAuthenticationProviderWithScopesAndValidHosts(credential, []string{"https://graph.microsoft.com/.default"}, []string{where.Hostname()})
	must(t, err)
	options := msgraph.GetDefaultClientOptions()
	adapter, err := msgraph.NewGraphRequestAdapterWithParseNodeFactoryAndSerializationWriterFactoryAndHttpClient(auth, nil, nil, &http.Client{
		Transport: kiotahttp.NewCustomTransportWithParentTransport(client.Transport, msgraphcore.GetDefaultMiddlewaresWithOptions(&options)...),
	})
	must(t, err)
	adapter.SetBaseUrl(server.URL() + "/v1.0")
	return &official{msgraph.NewGraphServiceClient(adapter), server, t}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		var failed *odataerrors.ODataError
		if errors.As(err, &failed) && failed.GetErrorEscaped() != nil {
			t.Fatalf("%s: %s", *failed.GetErrorEscaped().GetCode(), *failed.GetErrorEscaped().GetMessage())
		}
		t.Fatal(err)
	}
}

// join creates a user and returns its id.
func (o *official) join(name string) string {
	o.t.Helper()
	u := models.NewUser()
	u.SetDisplayName(&name)
	u.SetAccountEnabled(new(true))
	u.SetMailNickname(&name)
	u.SetUserPrincipalName(new(name + "@contoso.example.com"))
	u.SetMail(new(name + "@contoso.example.com"))
	password := models.NewPasswordProfile()
	password.SetPassword(new("Correct-Horse-9"))
	u.SetPasswordProfile(password)
	made, err := o.Users().Post(o.t.Context(), u, nil)
	must(o.t, err)
	return *made.GetId()
}

func (o *official) ref(id string) *models.ReferenceCreate {
	r := models.NewReferenceCreate()
	r.SetOdataId(new(o.server.URL() + "/v1.0/directoryObjects/" + id))
	return r
}

func TestTheOfficialClientReadsUsersPageByPage(t *testing.T) {
	o := newOfficial(t, "User.ReadWrite.All")
	var want []string
	for _, name := range []string{"ana", "ben", "carla", "diego", "eva", "finn", "gina"} {
		want = append(want, o.join(name))
	}
	first, err := o.Users().Get(t.Context(), &users.UsersRequestBuilderGetRequestConfiguration{
		QueryParameters: &users.UsersRequestBuilderGetQueryParameters{Select: []string{"id", "displayName", "createdDateTime"}},
	})
	must(t, err)
	iterator, err := msgraphcore.NewPageIterator[models.Userable](first, o.GetAdapter(), models.CreateUserCollectionResponseFromDiscriminatorValue)
	must(t, err)
	var got []string
	must(t, iterator.Iterate(t.Context(), func(u models.Userable) bool {
		if u.GetCreatedDateTime() == nil || time.Since(*u.GetCreatedDateTime()) > time.Hour {
			t.Errorf("%s was created on %v", *u.GetDisplayName(), u.GetCreatedDateTime())
		}
		got = append(got, *u.GetId())
		return true
	}))
	if !slices.Equal(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
}

func TestTheOfficialClientTracksChanges(t *testing.T) {
	o := newOfficial(t, "User.ReadWrite.All User.DeleteRestore.All")
	var everybody []string
	for _, name := range []string{"ana", "ben", "carla", "diego", "eva"} {
		everybody = append(everybody, o.join(name))
	}
	// round reads all pages of a round, and returns whom it tells of and where the next one begins.
	round := func(address string) (told []models.Userable, next string) {
		t.Helper()
		delta := o.Users().Delta()
		if address != "" {
			delta = delta.WithUrl(address)
		}
		page, err := delta.GetAsDeltaGetResponse(t.Context(), nil)
		must(t, err)
		iterator, err := msgraphcore.NewPageIterator[models.Userable](page, o.GetAdapter(), users.CreateDeltaGetResponseFromDiscriminatorValue)
		must(t, err)
		must(t, iterator.Iterate(t.Context(), func(u models.Userable) bool { told = append(told, u); return true }))
		if iterator.GetOdataDeltaLink() != nil {
			return told, *iterator.GetOdataDeltaLink()
		}
		return told, *page.GetOdataDeltaLink()
	}
	told, next := round("")
	if len(told) != len(everybody) {
		t.Fatalf("the first round tells of %d, want %d", len(told), len(everybody))
	}
	change := models.NewUser()
	change.SetDepartment(new("Sales"))
	change.SetJobTitle(new("Director"))
	_, err := o.Users().ByUserId(everybody[1]).Patch(t.Context(), change, nil)
	must(t, err)
	must(t, o.Users().ByUserId(everybody[2]).Delete(t.Context(), nil))
	told, _ = round(next)
	seen := map[string]any{}
	for _, u := range told {
		seen[*u.GetId()] = u.GetAdditionalData()["@removed"]
	}
	if len(seen) != 2 || seen[everybody[1]] != nil || seen[everybody[2]] == nil {
		t.Errorf("the second round tells of %v", seen)
	}
}

func TestTheOfficialClientSendsBatches(t *testing.T) {
	o := newOfficial(t, "User.ReadWrite.All")
	id := o.join("ana")
	batch := msgraphcore.NewBatchRequest(o.GetAdapter())
	add := func(of string) msgraphcore.BatchItem {
		info, err := o.Users().ByUserId(of).ToGetRequestInformation(t.Context(), nil)
		must(t, err)
		item, err := batch.AddBatchRequestStep(*info)
		must(t, err)
		return item
	}
	there, nowhere := add(id), add(uuid.NewString())
	answers, err := batch.Send(t.Context(), o.GetAdapter())
	must(t, err)
	u, err := msgraphcore.GetBatchResponseById[models.Userable](answers, *there.GetId(), models.CreateUserFromDiscriminatorValue)
	must(t, err)
	if *u.GetDisplayName() != "ana" {
		t.Errorf("the batch answers with %s", *u.GetDisplayName())
	}
	if _, err := msgraphcore.GetBatchResponseById[models.Userable](answers, *nowhere.GetId(), models.CreateUserFromDiscriminatorValue); err == nil {
		t.Error("a user that is nowhere was read")
	}
}

func TestTheOfficialClientReadsErrors(t *testing.T) {
	o := newOfficial(t, "User.Read.All")
	for name, c := range map[string]struct {
		call   func() error
		status int
		code   string
	}{
		"not found": {func() error { _, err := o.Users().ByUserId(uuid.NewString()).Get(t.Context(), nil); return err }, 404, "Request_ResourceNotFound"},
		"forbidden": {func() error { return o.Users().ByUserId(uuid.NewString()).Delete(t.Context(), nil) }, 403, "Authorization_RequestDenied"},
		"a bad filter": {func() error {
			_, err := o.Users().Get(t.Context(), &users.UsersRequestBuilderGetRequestConfiguration{QueryParameters: &users.UsersRequestBuilderGetQueryParameters{Filter: new("displayName eq")}})
			return err
		}, 400, "BadRequest"},
	} {
		t.Run(name, func(t *testing.T) {
			var failed *odataerrors.ODataError
			if err := c.call(); !errors.As(err, &failed) {
				t.Fatalf("error %v, want an ODataError", err)
			}
			inner := failed.GetErrorEscaped()
			if failed.ResponseStatusCode != c.status || *inner.GetCode() != c.code || *inner.GetMessage() == "" || inner.GetInnerError().GetRequestId() == nil {
				t.Errorf("%d %s %s", failed.ResponseStatusCode, *inner.GetCode(), *inner.GetMessage())
			}
		})
	}
}

func TestTheOfficialClientDoesWhatAccessTakes(t *testing.T) {
	o := newOfficial(t, "User.ReadWrite.All User.DeleteRestore.All Group.ReadWrite.All AppRoleAssignment.ReadWrite.All Application.Read.All User.Invite.All")
	ctx := t.Context()
	ana, boss := o.join("ana"), o.join("boss")

	manager := models.NewReferenceUpdate()
	manager.SetOdataId(new(o.server.URL() + "/v1.0/users/" + boss))
	must(t, o.Users().ByUserId(ana).Manager().Ref().Put(ctx, manager, nil))
	of, err := o.Users().ByUserId(ana).Manager().Get(ctx, nil)
	must(t, err)
	if *of.GetId() != boss {
		t.Errorf("the manager is %s", *of.GetId())
	}

	group := models.NewGroup()
	group.SetDisplayName(new("Staff"))
	group.SetMailNickname(new("staff"))
	group.SetMailEnabled(new(false))
	group.SetSecurityEnabled(new(true))
	made, err := o.Groups().Post(ctx, group, nil)
	must(t, err)
	staff := o.Groups().ByGroupId(*made.GetId())
	must(t, staff.Members().Ref().Post(ctx, o.ref(ana), nil))
	members, err := staff.TransitiveMembers().GraphUser().Get(ctx, nil)
	must(t, err)
	if len(members.GetValue()) != 1 || *members.GetValue()[0].GetId() != ana {
		t.Errorf("%d members", len(members.GetValue()))
	}
	check := users.NewItemCheckMemberGroupsPostRequestBody()
	check.SetGroupIds([]string{*made.GetId(), uuid.NewString()})
	in, err := o.Users().ByUserId(ana).CheckMemberGroups().PostAsCheckMemberGroupsPostResponse(ctx, check, nil)
	must(t, err)
	if !slices.Equal(in.GetValue(), []string{*made.GetId()}) {
		t.Errorf("she is in %v", in.GetValue())
	}
	must(t, staff.Members().ByDirectoryObjectId(ana).Ref().Delete(ctx, nil))

	apps, err := o.ServicePrincipals().Get(ctx, nil)
	must(t, err)
	at := slices.IndexFunc(apps.GetValue(), func(p models.ServicePrincipalable) bool { return *p.GetDisplayName() == "Payroll" })
	payroll := apps.GetValue()[at]
	assignment := models.NewAppRoleAssignment()
	principal, resource := uuid.MustParse(ana), uuid.MustParse(*payroll.GetId())
	assignment.SetPrincipalId(&principal)
	assignment.SetResourceId(&resource)
	assignment.SetAppRoleId(payroll.GetAppRoles()[0].GetId())
	granted, err := o.ServicePrincipals().ByServicePrincipalId(*payroll.GetId()).AppRoleAssignedTo().Post(ctx, assignment, nil)
	must(t, err)
	must(t, o.Users().ByUserId(ana).AppRoleAssignments().ByAppRoleAssignmentId(*granted.GetId()).Delete(ctx, nil))

	invitation := models.NewInvitation()
	invitation.SetInvitedUserEmailAddress(new("luz@fabrikam.example.com"))
	invitation.SetInviteRedirectUrl(new("https://myapps.microsoft.com"))
	sent, err := o.Invitations().Post(ctx, invitation, nil)
	must(t, err)
	guest, err := o.Users().ByUserId(*sent.GetInvitedUser().GetId()).Get(ctx, nil)
	must(t, err)
	if !strings.Contains(*guest.GetUserPrincipalName(), "#EXT#") {
		t.Errorf("the external user is %s", *guest.GetUserPrincipalName())
	}
	must(t, o.Users().ByUserId(ana).Delete(ctx, nil))
	back, err := o.Directory().DeletedItems().ByDirectoryObjectId(ana).Restore().Post(ctx, nil)
	must(t, err)
	if *back.GetId() != ana {
		t.Errorf("restored %s", *back.GetId())
	}
}

func TestTheOfficialClientManagesPoliciesAndSubscriptions(t *testing.T) {
	o := newOfficial(t, "Policy.Read.All Policy.ReadWrite.CrossTenantAccess Organization.Read.All User.Read.All Application.ReadWrite.OwnedBy")
	ctx := t.Context()
	policy, err := o.Policies().CrossTenantAccessPolicy().Partners().ByCrossTenantAccessPolicyConfigurationPartnerTenantId(o.server.Tenants()[1].ID).Get(ctx, nil)
	must(t, err)
	if consent := policy.GetAutomaticUserConsentSettings(); consent == nil || !*consent.GetInboundAllowed() {
		t.Errorf("automatic redemption is %v", consent)
	}
	invites, err := o.Policies().AuthorizationPolicy().Get(ctx, nil)
	must(t, err)
	if invites.GetAllowInvitesFrom().String() != "everyone" {
		t.Errorf("invitations are allowed from %v", invites.GetAllowInvitesFrom())
	}
	organization, err := o.Organization().Get(ctx, nil)
	must(t, err)
	if domains := organization.GetValue()[0].GetVerifiedDomains(); len(domains) != 2 || *domains[1].GetName() != "contoso.example.com" {
		t.Errorf("%d domains", len(domains))
	}
	extension := models.NewExtensionProperty()
	extension.SetName(new("costCenter"))
	extension.SetDataType(new("String"))
	extension.SetTargetObjects([]string{"User"})
	defined, err := o.Applications().ByApplicationId(o.server.App().ObjectID).ExtensionProperties().Post(ctx, extension, nil)
	must(t, err)
	if !strings.HasSuffix(*defined.GetName(), "_costCenter") {
		t.Errorf("the extension is %s", *defined.GetName())
	}

	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte(r.URL.Query().Get("validationToken")))
	}))
	t.Cleanup(hook.Close)
	subscription := models.NewSubscription()
	subscription.SetChangeType(new("updated,deleted"))
	subscription.SetResource(new("/users"))
	subscription.SetNotificationUrl(&hook.URL)
	subscription.SetClientState(new("state"))
	subscription.SetExpirationDateTime(new(time.Now().Add(time.Hour)))
	held, err := o.Subscriptions().Post(ctx, subscription, nil)
	must(t, err)
	renewal := models.NewSubscription()
	renewal.SetExpirationDateTime(new(time.Now().Add(2 * time.Hour)))
	_, err = o.Subscriptions().BySubscriptionId(*held.GetId()).Patch(ctx, renewal, nil)
	must(t, err)
	list, err := o.Subscriptions().Get(ctx, nil)
	must(t, err)
	if len(list.GetValue()) != 1 || time.Until(*list.GetValue()[0].GetExpirationDateTime()) < 90*time.Minute {
		t.Errorf("%d subscriptions", len(list.GetValue()))
	}
	must(t, o.Subscriptions().BySubscriptionId(*held.GetId()).Delete(ctx, nil))
}
