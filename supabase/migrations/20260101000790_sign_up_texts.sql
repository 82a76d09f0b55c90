-- What a sign-up's texts become: the names of a person and an organization, a slug and the address of a picture, from metadata
-- that may hold anything.

create function provisioning.transliterate(p_text text) returns text
language plpgsql immutable set search_path = '' as $$
declare
  -- Much as passports have them. Capitals are listed too, because lower() leaves them alone where the database's locale is C.
  v_small constant text := 'абвгдежзиклмнопрстуфхцчшщъыьэюяґєіјљњћџђѕαβγδεζηθικλμνξοπρσςτυφχψωßæœøłđðþıħŋ';
  v_capital constant text := 'АБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯҐЄІЈЉЊЋЏЂЅΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΣΤΥΦΧΨΩẞÆŒØŁĐÐÞIĦŊ';
  v_latin constant text[] := '{a,b,v,g,d,e,zh,z,i,k,l,m,n,o,p,r,s,t,u,f,kh,ts,ch,sh,shch,"",y,"",e,iu,ia,g,ie,i,j,lj,nj,c,dz,'
    'dj,dz,a,v,g,d,e,z,i,th,i,k,l,m,n,x,o,p,r,s,s,t,y,f,ch,ps,o,ss,ae,oe,o,l,d,d,th,i,h,n}';
begin
  return (
    select string_agg(coalesce(v_latin[(position(c.letter in v_small || v_capital) - 1) % length(v_small) + 1], c.letter), ''
      order by c.place)
    from regexp_split_to_table(left(p_text, 200), '') with ordinality c (letter, place));
end
$$;
revoke execute on function provisioning.transliterate(text) from public, anon, authenticated, service_role;
comment on function provisioning.transliterate(text) is
  'The text with Cyrillic and Greek letters, and Latin ones without an accent that could be taken away, in letters from a to z.
Other scripts stay as they are.';

create function provisioning.slugify(p_text text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return coalesce(nullif(btrim(left(btrim(regexp_replace(lower(replace(
    case when p_text ~ '[^\x01-\x7f]' then provisioning.transliterate(
      regexp_replace(normalize(p_text, nfkd), '[\u0300-\u036f’]', '', 'g')) else p_text end,
    '''', '')), '[^a-z0-9]+', '-', 'g'), '-'), 48), '-'), ''), 'org');
end
$$;
revoke execute on function provisioning.slugify(text) from public, anon, authenticated, service_role;
comment on function provisioning.slugify(text) is
  'Lower-case ASCII letters and digits with single hyphens, at most 48 characters; "org" for a name that has none.';

create function provisioning.free_slug(p_name text) returns text
language plpgsql security definer set search_path = '' as $$
declare
  -- What slugify makes of most names.
  v_slug text := translate(lower(p_name), ' ''', '-');
begin
  if v_slug !~ '^[a-z0-9]+(-[a-z0-9]+)*$' or length(v_slug) > 48 then
    v_slug := provisioning.slugify(p_name);
  end if;
  -- The lock is only tried, never waited for: who loses the race for the plain name takes a suffix instead of
  -- queueing behind somebody else's uncommitted sign-up. There are 1024 locks for all names, because an import of 100,000 users
  -- in one transaction would fill the server's table of locks, and then nobody gets one. Names that share a lock by chance only
  -- get a suffix without need.
  if pg_catalog.pg_try_advisory_xact_lock(7223, pg_catalog.hashtext(v_slug) & 1023) then
    -- A statement of its own: its snapshot is newer than the lock, so a holder that has just committed is seen.
    perform from public.organizations o where o.slug = v_slug;
    if not found then
      return v_slug;
    end if;
  end if;
  return v_slug || '-' || encode(extensions.gen_random_bytes(5), 'hex');
end
$$;
revoke execute on function provisioning.free_slug(text) from public, anon, authenticated, service_role;
comment on function provisioning.free_slug(text) is
  'A slug for the name that no committed or concurrent sign-up has; never blocks.';

create function provisioning.cut_metadata(p_metadata jsonb) returns jsonb
language plpgsql immutable set search_path = '' as $$
declare
  -- Each look at a large value would unpack it as a whole. The concatenation does that once.
  v_all jsonb := '{}'::jsonb || p_metadata;
  v_texts jsonb;
begin
  select coalesce(jsonb_object_agg(k.key, t.beginning), '{}') into v_texts
  from (values ('full_name', 1000), ('name', 1000), ('organization_name', 1000), ('user_name', 1000),
    ('preferred_username', 1000), ('avatar_url', 2049), ('picture', 2049), ('data_region', 100), ('hosting_region', 100))
    k (key, length)
  cross join lateral (select left(v_all ->> k.key, k.length) as beginning offset 0) t
  where provisioning.trimmed(t.beginning) is not null
    -- A path finds the type without a copy of the value.
    and jsonb_path_exists(v_all, format('strict $.%s ? (@.type() == "string")', k.key)::jsonpath, silent => true);
  if not v_texts ?| '{full_name,name}' then
    -- GitHub tells it of who has given no name.
    v_texts := v_texts || jsonb_strip_nulls(jsonb_build_object(
      'name', coalesce(v_texts ->> 'user_name', v_texts ->> 'preferred_username')));
  end if;
  return v_texts - '{user_name,preferred_username}'::text[];
end
$$;
revoke execute on function provisioning.cut_metadata(jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.cut_metadata(jsonb) is
  'What we read of a user''s metadata: texts that are not blank, cut to a size that costs nothing. A user name stands for a name
that is missing.';

create function provisioning.quick_metadata(p_metadata jsonb) returns jsonb
language plpgsql immutable set search_path = '' as $$
begin
  if jsonb_typeof(p_metadata) = 'object' and pg_column_size(p_metadata) <= 1000 and not p_metadata @? '$ ? (
    @.full_name.type() != "string" || @.name.type() != "string" || @.organization_name.type() != "string"
    || @.avatar_url.type() != "string" || @.picture.type() != "string" || @.data_region.type() != "string"
    || @.hosting_region.type() != "string" || exists(@.user_name) || exists(@.preferred_username))'
  then
    return p_metadata;
  end if;
  return provisioning.cut_metadata(p_metadata);
end
$$;
revoke execute on function provisioning.quick_metadata(jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.quick_metadata(jsonb) is
  'cut_metadata for what a sign-up waits for. Most metadata can be read as they are: short, and with nothing but texts under the
names that it reads, which takes many times as long as this look.';

create function provisioning.name_in_address(p_email text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return case when p_email not ilike '%@privaterelay.appleid.com' then split_part(p_email, '@', 1) end;
end
$$;
revoke execute on function provisioning.name_in_address(text) from public, anon, authenticated, service_role;
comment on function provisioning.name_in_address(text) is
  'What stands before the @; null for an address that Apple has made up to forward mail.';

create function provisioning.avatar_of(p_metadata jsonb) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return (
    select a.url from (
      select 1 as place, provisioning.plain_text(left(p_metadata ->> 'avatar_url', 2049), 2049) as url
      union all select 2, provisioning.plain_text(left(p_metadata ->> 'picture', 2049), 2049)) a
    where length(a.url) <= 2048 and a.url ~* '^https?://[^\s<>"]+$' order by a.place limit 1);
end
$$;
revoke execute on function provisioning.avatar_of(jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.avatar_of(jsonb) is
  'The address of a user''s picture; null when there is none of http or https that is as short as an address may be.';

create function provisioning.full_name_of(p_metadata jsonb) returns text
language plpgsql immutable set search_path = '' as $$
begin
  return coalesce(provisioning.plain_text(p_metadata ->> 'full_name', 200),
    provisioning.plain_text(p_metadata ->> 'name', 200));
end
$$;
revoke execute on function provisioning.full_name_of(jsonb) from public, anon, authenticated, service_role;
