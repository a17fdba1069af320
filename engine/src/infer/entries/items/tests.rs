//! What feeds and sitemaps read of each item, as their real pages do.

use super::super::admin::tests::entries;

fn of(class: &str) -> Vec<String> {
    entries(&format!(
        "from django.contrib.sitemaps import Sitemap\nfrom django.contrib.syndication.views import Feed\n{class}"
    ))
}

#[test]
fn items_of_feeds_are_read() {
    let feed = |body: &str| {
        let body = body.replace('\n', "\n    ");
        of(&format!("class F(Feed):\n    def items(self):\n        return Book.objects.all()\n    {body}\n"))
    };
    assert_eq!(feed(""), ["F: author author__publisher"]);
    let bare =
        "item_description = 'x'\nitem_link = '/x'\ndef item_title(self, item):\n    return item.title\n";
    assert_eq!(feed(bare), ["F: "]);
    assert_eq!(
        feed(&format!(
            "{bare}def item_author_name(self, item):\n    return item.editor.name\ndef item_categories(self, item):\n    return [t.name for t in item.tags.all()]\ndef item_author_email(self, item):\n    return item.author.name\n"
        )),
        ["F: author? editor tags.all()"]
    );
    assert_eq!(feed("title_template = 't.html'\ndescription_template = 'd.html'"), ["F: author"]);
    assert!(feed("def get_feed(self, obj, request):\n    return x").is_empty());
    // A feed of what get_object() gives, and one of a list.
    assert_eq!(
        of("class F(Feed):\n    def items(self, obj):\n        return Book.objects.filter(author=obj)[:5]\n"),
        ["F: author author__publisher"]
    );
    assert!(of("class F(Feed):\n    def items(self):\n        return [1, 2]\n").is_empty());
}

#[test]
fn items_of_sitemaps_are_read() {
    let map = |body: &str| {
        let body = body.replace('\n', "\n    ");
        of(&format!(
            "class S(Sitemap):\n    def items(self):\n        return Book.objects.order_by('pk')\n    {body}\n"
        ))
    };
    assert_eq!(map("priority = 0.5"), ["S: author"]);
    assert_eq!(
        map(
            "def location(self, obj):\n    return obj.pk\ndef priority(self, obj):\n    return len(obj.editor.name)"
        ),
        ["S: editor"]
    );
    assert!(map("def _urls(self, page, protocol, domain):\n    return []").is_empty());
}
