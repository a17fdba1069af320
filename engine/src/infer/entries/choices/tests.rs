//! What the options of a form read of each row, as the rendered form does.

use super::super::admin::tests::entries;

fn of(body: &str) -> Vec<String> {
    let body = body.replace('\n', "\n    ");
    entries(&format!(
        "from django import forms\nclass Editor(forms.ModelChoiceField):\n    def label_from_instance(self, obj):\n        return obj.editor.name\n\nclass F(forms.Form):\n    {body}\n"
    ))
}

#[test]
fn options_are_named() {
    let read = ["F: author author__publisher"];
    assert_eq!(of("b = forms.ModelChoiceField(queryset=Book.objects.all())"), read);
    assert_eq!(of("b = forms.ModelChoiceField(Book.objects, required=False)"), read);
    assert_eq!(
        of("b = forms.ModelMultipleChoiceField(Book.objects.all(), widget=forms.CheckboxSelectMultiple())"),
        read
    );
    assert_eq!(of("b = Editor(queryset=Book.objects.all())"), ["F: editor"]);
    assert_eq!(
        of("b = forms.ModelChoiceField(queryset=Book.objects.select_related('author'))"),
        ["F: +author author__publisher"]
    );
}

#[test]
fn what_code_changes_is_followed_or_left() {
    let field = "b = forms.ModelChoiceField(queryset=Book.objects.none())\ndef __init__(self, *args, **kwargs):\n    super().__init__(*args, **kwargs)\n    ";
    let with = |line: &str| of(&format!("{field}{line}"));
    assert_eq!(
        with("self.fields['b'].queryset = Book.objects.select_related('author')"),
        ["F: +author author__publisher"]
    );
    assert_eq!(with("self.fields['b'].required = False"), ["F: author author__publisher"]);
    for line in [
        "self.fields['b'].widget = forms.HiddenInput()",
        "self.fields['b'].label_from_instance = str",
        "self.fields['b'].queryset = self.fields['b'].queryset.filter(pk=1)",
        "self.fields['b'] = forms.CharField()",
        "self.fields.pop('b')",
        "del self.fields['b']",
    ] {
        assert!(with(line).is_empty(), "{line}");
    }
    // A widget that asks for the options as they are typed.
    assert!(
        of("b = forms.ModelChoiceField(queryset=Book.objects.all(), widget=forms.HiddenInput)").is_empty()
    );
    assert!(of("b = forms.ModelChoiceField(queryset=Book.objects.all(), widget=Select2)").is_empty());
}
