package directory

import (
	"strings"

	"github.com/tenantsync/tenantsync/shared/entrasim/internal/fault"
)

// Identity is one of the ways in which a user can be named to sign in.
type Identity struct {
	SignInType string  `json:"signInType"`
	Issuer     string  `json:"issuer"`
	AssignedID *string `json:"issuerAssignedId"`
}

func identityMaps(identities []Identity) []map[string]any {
	maps := make([]map[string]any, len(identities))
	for i, id := range identities {
		maps[i] = map[string]any{"signInType": id.SignInType, "issuer": id.Issuer, "issuerAssignedId": nil}
		if id.AssignedID != nil {
			maps[i]["issuerAssignedId"] = *id.AssignedID
		}
	}
	return maps
}

// values are the decoded properties of a body.
type values map[*Property]any

// text is the text a body gives a property of the schema, if it does.
func (v values) text(s *Schema, name string) string { t, _ := v[s.byName[name]].(string); return t }

// Create adds a user from the body of POST /users.
func (d *Directory) Create(body map[string]any) (*Entity, error) {
	v, err := d.decodeUser(body)
	if err != nil {
		return nil, err
	}
	if err := checkNew(body); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.draft(Users, nil)
	var now any = moment(d.Now())
	n.put("userType", "Member")
	n.put("createdDateTime", now)
	n.put(sessionsFrom, now)
	if err := n.apply(v, d.initialDomain()); err != nil {
		return nil, err
	}
	return d.add(&object{schema: Users}, n.fields)
}

// checkNew refuses a body that PATCH would take and POST does not.
func checkNew(body map[string]any) error {
	for _, name := range []string{"accountEnabled", "displayName", passwordProfile, "userPrincipalName", "mailNickname"} {
		if body[name] == nil {
			return required(Users, name)
		}
	}
	if profile, _ := body[passwordProfile].(map[string]any); profile["password"] == nil {
		return required(Users, "password")
	}
	if body[extensionAttributes] != nil {
		return fault.BadRequest("Property '%s' cannot be set when a user is created.", extensionAttributes)
	}
	return nil
}

func required(s *Schema, name string) error {
	return fault.BadRequest("A value is required for property '%s' of resource '%s'.", name, s.title())
}

// Update applies the body of PATCH /users/{name}. A change that changes nothing is no Change.
func (d *Directory) Update(name string, body map[string]any) error {
	v, err := d.decodeUser(body)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	o, err := d.find(Users, name)
	if err != nil {
		return err
	}
	if v.sensitive() && d.protected(o) {
		return fault.Denied()
	}
	n := d.draft(Users, o.now)
	if err := n.apply(v, d.initialDomain()); err != nil {
		return err
	}
	return d.replace(o, n)
}

// replace makes a draft what the object is, unless it is that already. d is locked.
func (d *Directory) replace(o *object, n *draft) error {
	if !n.differs {
		return nil
	}
	if k, taken := d.conflict(o, n.fields); taken {
		return fault.Conflict(k.property)
	}
	d.commit(o, n.fields, live)
	return nil
}

// RevokeSessions makes all sign-ins of a user before now worthless. It does not reach the sessions of external users, who sign
// in through their home tenant.
func (d *Directory) RevokeSessions(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	o, err := d.find(Users, name)
	if err != nil {
		return err
	}
	n := d.draft(Users, o.now)
	n.put(sessionsFrom, moment(d.Now()))
	return d.replace(o, n)
}

// decodeUser checks a body against the schema, without regard to any particular user.
func (d *Directory) decodeUser(body map[string]any) (values, error) {
	v, err := d.decode(Users, body)
	if err != nil {
		return nil, err
	}
	if upn := v.text(Users, "userPrincipalName"); upn != "" && !d.verified(domainOf(upn)) {
		return nil, fault.BadRequest("The domain portion of the userPrincipalName property is invalid. " +
			"You must use one of the verified domain names in your organization.")
	}
	return v, nil
}

func (d *Directory) decode(s *Schema, body map[string]any) (values, error) {
	decoded := values{}
	for name, raw := range body {
		if strings.HasPrefix(name, "@odata.") {
			continue
		}
		p := d.Property(s, name)
		switch {
		case p == nil && isExtension(name):
			return nil, fault.BadRequest("The following extension properties are not available: %s.", name)
		case p == nil:
			return nil, invalidProperty(name)
		case p.Access == ReadOnly:
			return nil, fault.BadRequest("Property '%s' is read-only and cannot be set.", name)
		case p.Access == Delegated:
			return nil, fault.Denied()
		case p.Access == Unmodelled, p.Access == Absent:
			return nil, fault.NotModelled("writing %s of a %s", name, s.Name)
		}
		v, err := p.decode(raw)
		if err != nil {
			return nil, err
		}
		decoded[p] = v
	}
	return decoded, nil
}

// maxExtensions is how many extension values an object can have: the concept page about extensibility.
const maxExtensions = 100

// apply sets the decoded values of a user and what follows from them.
func (n *draft) apply(v values, initialDomain string) error {
	for p, value := range v {
		switch {
		case p.Access == WriteOnly:
		case p.Name == "mail":
			n.setMail(value.(string))
		case p.Kind == Composite:
			n.set(p, p.merge(n.get(p.Name), value))
		default:
			n.set(p, value)
		}
	}
	n.setIdentities(initialDomain)
	extensions := 0
	for _, f := range n.fields {
		if f.property.Extension && f.value != nil {
			extensions++
		}
	}
	if extensions > maxExtensions {
		return fault.New(403, "Directory_QuotaExceeded", "The object has more than %d extension values.", maxExtensions)
	}
	return nil
}

// setMail makes address the primary one: it is added to proxyAddresses as SMTP:, and the previous one stays as smtp:.
func (n *draft) setMail(address string) {
	if n.text("mail") == address {
		return
	}
	proxies := []string{"SMTP:" + address}
	for _, proxy := range n.texts("proxyAddresses") {
		if _, old, _ := strings.Cut(proxy, ":"); !strings.EqualFold(old, address) {
			proxies = append(proxies, "smtp:"+old)
		}
	}
	n.put("mail", address)
	n.put("proxyAddresses", proxies)
}

// setIdentities derives identities from the name and the state. initialDomain is the tenant's onmicrosoft.com domain: it
// issues the principal name of every user, and before redemption that is all an external user has.
func (n *draft) setIdentities(initialDomain string) {
	var ids []Identity
	if n.text("externalUserState") == accepted {
		ids = append(ids, Identity{SignInType: "federated", Issuer: "ExternalAzureAD"})
	}
	upn := n.text("userPrincipalName")
	n.put("identities", append(ids, Identity{SignInType: "userPrincipalName", Issuer: initialDomain, AssignedID: &upn}))
}

// sensitive reports whether a body writes what an application may not write of the protected: the permissions of user-update.
func (v values) sensitive() bool {
	for p := range v {
		if p.Admins {
			return true
		}
	}
	return false
}

// protected reports whether a user is an administrator: here, who is a member of a group that can be given roles. An application
// without a role of its own, which the simulator's has not, may not write some properties of theirs. d is locked.
func (d *Directory) protected(o *object) bool {
	for g := range d.View(0).groupsOf(o, true) {
		if g.now.roleAssignable() {
			return true
		}
	}
	return false
}
