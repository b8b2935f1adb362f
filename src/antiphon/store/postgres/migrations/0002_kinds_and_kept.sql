-- The schema names no kinds of jobs any more, and a column says whether a job's request was kept.

ALTER TABLE jobs
    DROP CONSTRAINT jobs_type_check,
    ADD CONSTRAINT type_is_named CHECK (type <> ''),
    -- False: `request` is a summary, and the job cannot be run again.
    ADD COLUMN kept boolean NOT NULL DEFAULT true;

-- No default: a server of the version before, which does not know the column, leaves it NULL, and the trigger fills it
-- in. The migration after this one can drop the trigger.
ALTER TABLE jobs ALTER COLUMN kept DROP DEFAULT;

-- Until this version an empty text in a finished job said that the request was not kept. `->>` fails for a request with
-- an escaped NUL; such a request has a text.
CREATE FUNCTION says_not_kept(request json) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN strpos(request::text, '\u0000') > 0 THEN false ELSE coalesce(request ->> 'text' = '', false) END
$$;

CREATE FUNCTION fill_in_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.kept := NEW.finished_at IS NULL OR NOT says_not_kept(NEW.request);
    RETURN NEW;
END
$$;

CREATE TRIGGER fill_in_kept BEFORE INSERT ON jobs FOR EACH ROW WHEN (NEW.kept IS NULL) EXECUTE FUNCTION fill_in_kept();

UPDATE jobs SET kept = false WHERE finished_at IS NOT NULL AND says_not_kept(request);
